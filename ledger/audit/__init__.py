"""The audit: what makes a history sound, checked over the stored bytes, the events, the tables and the views."""
