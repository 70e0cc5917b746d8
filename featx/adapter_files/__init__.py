"""The commands about files of adapters: what they hold, and those of the authors."""
