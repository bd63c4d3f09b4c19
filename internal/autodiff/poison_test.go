package autodiff

// No operation reads memory that it did not write.
func init() { poison = true }
