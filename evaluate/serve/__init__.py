"""The explorer: a local web application over one store, and its HTTP interface."""
