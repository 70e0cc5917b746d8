"""Many runs that differ in one setting, and the table of them."""
