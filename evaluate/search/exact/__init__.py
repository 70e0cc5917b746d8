"""An exact search: what competes, the scan over all rows, and hits that do not overlap."""
