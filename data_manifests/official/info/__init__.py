"""Facts about the data sets, as data: one TOML file each."""
