"""What batch normalization is called with beside its arrays."""

#: Of every batch normalization: so large that it shows in float32 where it stands.
EPSILON = 0.01
MOMENTUM = 0.2
