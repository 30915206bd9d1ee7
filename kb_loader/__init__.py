"""Knowledge dumps in and out of a store."""
