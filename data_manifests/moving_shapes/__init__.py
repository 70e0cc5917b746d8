"""Moving shapes: a generated world of coloured shapes that move, for a pipeline that runs offline."""
