"""Pages: each checks who asks, calls one verb, and answers with a page or its fragment."""
