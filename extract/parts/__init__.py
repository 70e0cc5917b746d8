"""`featx plan` and `featx work`: many machines fill one store, part by part (docs/scale-out.md)."""
