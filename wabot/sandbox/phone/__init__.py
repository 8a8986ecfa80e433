"""The phone: a page of the stand-in on which one is a customer, sees what goes over the wire, and makes trouble."""
