package metrics

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// maxSeries bounds how many combinations of labels one family has.
const maxSeries = 100

// maxWord is the longest value of a label, in bytes: shorter than an id.
const maxWord = 32

// other stands for a value that is no word, or is one too many.
const other = "other"

// Counters is a family of counters that differ by their labels. The zero value of
// any label is written as "none". Its methods are safe for concurrent use; nil
// counts nothing.
type Counters struct {
	labels int

	vec   *prometheus.CounterVec
	mu    sync.RWMutex
	known map[string]prometheus.Counter // by the values as they were given
	made  int
}

// Add counts n more. It takes as many values as the family has labels.
func (c *Counters) Add(n float64, values ...string) {
	if c == nil || n <= 0 {
		return
	}
	key := strings.Join(values, "\x00")
	c.mu.RLock()
	one := c.known[key]
	c.mu.RUnlock()
	if one == nil {
		one = c.find(key, values)
	}
	one.Add(n)
}

// Begin tells zero of a combination of labels before anything happened: a rate over
// what appears with its first value would miss that one.
func (c *Counters) Begin(values ...string) { c.find(strings.Join(values, "\x00"), values) }

// find makes a counter, or finds the one for everything else.
func (c *Counters) find(key string, values []string) prometheus.Counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.known[key]; one != nil {
		return one
	}
	clean := make([]string, c.labels)
	for i := range clean {
		clean[i] = other
		if i < len(values) && c.made < maxSeries {
			clean[i] = Word(values[i])
		}
	}
	one := c.vec.WithLabelValues(clean...)
	if c.made < maxSeries {
		c.known[key] = one
		c.made++
	}
	return one
}

// Word is the value of a label for a word: itself when it is one of a vocabulary, in
// lower case, digits and hyphens, with a letter in front; "none" for no word; "other"
// for everything else. An address, a domain or an id is no word.
func Word(w string) string {
	switch {
	case w == "":
		return "none"
	case len(w) > maxWord || w[0] < 'a' || w[0] > 'z':
		return other
	}
	for i := range len(w) {
		if b := w[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' {
			return other
		}
	}
	return w
}
