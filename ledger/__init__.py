"""The application: one facade over charges, credits, invoices, usage, views and their audit."""
