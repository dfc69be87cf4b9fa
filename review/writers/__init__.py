"""Pairs and tags → lines of files. Each writer is one format, and knows no database."""
