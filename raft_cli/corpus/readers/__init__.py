"""One file per family of formats: bytes in, documents out. A reader touches no disk and knows no other stage."""
