"""What authors of backends need to test them: contracts, a clock, faults."""
