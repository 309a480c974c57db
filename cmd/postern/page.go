package main

import (
	"iter"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
)

// pageFlags are the flags of a list of which one may see a part.
func pageFlags(c *cobra.Command, q *control.Page) {
	c.Use += " [--limit N] [--after ID]"
	c.Flags().IntVar(&q.Limit, "limit", 0, "at most so many; 0: all")
	c.Flags().TextVar(&q.After, "after", uuid.Nil, "go on after the row with this id")
	c.Flags().Lookup("after").DefValue = ""
}

// part passes a part of a list on, and says at its end how to go on.
func part[R any](t *talk, q control.Page, rows iter.Seq2[R, error], id func(*R) uuid.UUID) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		n, last := 0, uuid.Nil
		for row, err := range rows {
			if !yield(row, err) {
				return
			}
			if err == nil {
				n, last = n+1, id(&row)
			}
		}
		if n > 0 && n == q.Limit {
			t.say("There may be more: --after %s", last)
		}
	}
}
