package dns

// Len is the number of TXT entries held, for the test of the bound.
func (c *Cache) Len() int { return len(c.txt.m) }
