"""The credit pool of a customer in one currency: grants, collection, corrections, and every posting of them."""
