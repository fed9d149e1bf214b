"""Mining: which samples to look at, why, and in the files that people and tools work with."""
