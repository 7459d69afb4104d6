"""What every journal has to do, law by law; `conformance` makes checks of them."""
