package control

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"postern/storage/audit"
)

// Event is an event as the log renders it. It is decoded for tables, and
// encoded as the very bytes of that rendering.
type Event struct {
	Seq        uint64         `json:"seq"`
	Time       time.Time      `json:"time"`
	Verb       string         `json:"verb"`
	Outcome    string         `json:"outcome"`
	Actor      Actor          `json:"actor"`
	Agent      string         `json:"agent"`
	Credential string         `json:"credential"`
	Inbox      string         `json:"inbox"`
	Object     string         `json:"object"`
	Fields     map[string]any `json:"fields"`
	Personal   map[string]any `json:"personal"`

	text json.RawMessage
}

// Actor is who acted, by id.
type Actor struct {
	Kind       string `json:"kind"`
	ID         string `json:"id"`
	Credential string `json:"credential"`
	Session    string `json:"session"`
	Network    string `json:"network"`
	Name       string `json:"name"`
}

// UnmarshalJSON keeps the text and reads what tables show.
func (e *Event) UnmarshalJSON(b []byte) error {
	type plain Event
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // counters are no fractions
	if err := dec.Decode((*plain)(e)); err != nil {
		return err
	}
	e.text = slices.Clone(b)
	return nil
}

// MarshalJSON gives the text back.
func (e Event) MarshalJSON() ([]byte, error) { return e.text, nil }

// LoggedEvent is an event of a list, and what people call the ids in it.
type LoggedEvent struct {
	Event Event             `json:"event"`
	Leaf  string            `json:"leaf"`            // hash of its leaf in the tree, hexadecimal
	Names map[string]string `json:"names,omitempty"` // by id; only those that rows before did not have
}

// row renders an event with the names that a reader does not know yet.
func (n *names) row(ctx context.Context, e *audit.Event) (LoggedEvent, error) {
	names, err := n.fresh(ctx, e)
	leaf := audit.LeafHash(e.Canonical())
	return LoggedEvent{Event{text: e.AppendJSON(nil)}, hex.EncodeToString(leaf[:]), names}, err
}
