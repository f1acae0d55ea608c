"""One module per outside thing; each translates that thing's errors at its edge."""
