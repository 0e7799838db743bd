"""Tables: where views are kept, rows and position together. Generic over projections; nothing here knows of billing."""
