"""What is known of the data sets, as data: one TOML file each."""
