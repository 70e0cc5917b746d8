"""What an extraction has to do: its settings, the videos, and which of them are new or changed."""
