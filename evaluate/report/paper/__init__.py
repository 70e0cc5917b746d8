"""The paper's numbers, as data with their source: one TOML file a table, read by `featx.evaluate.report.paper.read`."""
