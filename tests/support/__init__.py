"""What tests share: fakes of AWS, a simulated hub, waiting without sleeping."""
