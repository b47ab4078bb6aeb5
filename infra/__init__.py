"""What Chalice does not make: infrastructure, its meter, and the run on one machine."""
