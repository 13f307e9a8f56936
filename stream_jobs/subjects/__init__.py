"""A person's rights: what is stored about somebody, and that the name goes (`rollcall subject`)."""
