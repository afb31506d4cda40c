"""What is minimised: likelihood, policy gradient, discriminator losses."""
