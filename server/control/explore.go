package control

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// filter is the filter of a query: its words, and what its other fields say.
func (q *EventQuery) filter() (Filter, error) {
	f, err := ParseFilter(q.Query)
	if err != nil {
		return nil, err
	}
	for _, x := range []struct {
		key    string
		values []string
	}{
		{"agent", one(q.Agent)}, {"credential", one(q.Credential)}, {"verb", q.Verbs}, {"inbox", one(q.Inbox)},
		{"message", one(q.MessageID)}, {"since", one(written(q.Since))}, {"until", one(written(q.Until))},
	} {
		if len(x.values) == 0 {
			continue
		}
		if f, err = f.With(FilterTerm{Key: x.key, Values: x.values}); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func one(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// written is a time as a filter has it.
func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// search finds what a filter names.
func (s *Server) search(ctx context.Context, by caller, f Filter) (storage.Search, error) {
	q := storage.Search{Org: by.org}
	var err error
	if q.Since, q.Until, err = f.Times(s.Now()); err != nil {
		return q, err
	}
	for _, t := range f {
		if keyOf(t.Key).one {
			continue
		}
		c := storage.Condition{Not: t.Not, Field: fieldOf[t.Key]}
		for _, text := range t.Values {
			values, err := s.values(ctx, by, t.Key, text)
			if err != nil {
				return q, err
			}
			c.Values = append(c.Values, values...)
		}
		q.Conditions = append(q.Conditions, c)
	}
	return q, nil
}

// fieldOf is what the keys of a filter look at.
var fieldOf = map[string]storage.Field{
	"agent": storage.FieldAgent, "credential": storage.FieldCredential, "actor": storage.FieldActor, "verb": storage.FieldVerb,
	"inbox": storage.FieldInbox, "message": storage.FieldMessage, "network": storage.FieldNetwork, "result": storage.FieldResult,
	"trigger": storage.FieldTrigger, "object": storage.FieldObject,
}

// values are what one value of a filter stands for. An agent or a credential is never
// gone: one that is not found is of another organization, or of nobody. Other ids are
// taken as they are: what they were of may be gone. // AC-19
func (s *Server) values(ctx context.Context, by caller, key, text string) ([]storage.Value, error) {
	if id, err := uuid.Parse(text); err == nil && (key == "inbox" || key == "actor" || key == "object" || key == "message" || key == "trigger") {
		return []storage.Value{{ID: id}}, nil
	}
	switch key {
	case "agent":
		a, err := s.agent(ctx, by, text)
		return []storage.Value{{ID: a.ID}}, err
	case "credential":
		c, err := s.credential(ctx, by, text)
		return []storage.Value{{ID: c.ID}}, err
	case "inbox":
		in, err := s.inbox(ctx, by, text)
		return []storage.Value{{ID: in.ID}}, err
	case "actor":
		return s.actors(ctx, by, text)
	case "verb":
		return verbValues(text)
	case "result":
		return resultValue(text)
	case "message":
		return []storage.Value{{Text: angled(text)}}, nil
	case "network":
		return networkValue(text)
	case "trigger":
		return triggerValues(text), nil
	}
	return nil, wrongFilter(text, nil, "%q is no id, such as stands in the JSON of an event", text)
}

// actors are who a name may stand for: a kind, an agent, or a person or Unix user.
func (s *Server) actors(ctx context.Context, by caller, text string) ([]storage.Value, error) {
	for k := audit.System; k <= audit.Stranger; k++ {
		if k.String() == text {
			return []storage.Value{{Number: uint64(k)}}, nil
		}
	}
	values := []storage.Value{{Text: text}}
	a, err := s.agent(ctx, by, text)
	switch refused := refusal(err); {
	case err == nil:
		values = append(values, storage.Value{ID: a.ID})
	case refused.Code != NotFound && refused.Code != Invalid:
		return nil, err
	}
	return values, nil
}

// verbValues are the verbs that a word stands for: one, or all of a noun.
func verbValues(text string) (values []storage.Value, err error) {
	noun := strings.TrimSuffix(text, ".*")
	var nouns []string
	for _, v := range audit.Verbs() {
		of, _, _ := strings.Cut(v.String(), ".")
		if v.String() == text || of == noun {
			values = append(values, storage.Value{Number: uint64(v)})
		}
		nouns = append(nouns, of)
	}
	if values != nil {
		return values, nil
	}
	var allowed []string
	of, _, _ := strings.Cut(text, ".")
	for _, v := range audit.Verbs() {
		if strings.HasPrefix(v.String(), of+".") {
			allowed = append(allowed, v.String())
		}
	}
	if allowed == nil {
		slices.Sort(nouns)
		allowed = slices.Compact(nouns)
	}
	return nil, wrongFilter(text, allowed, "there is no event %q", text)
}

// outcomeNames are the results, and what else people call them.
var outcomeNames = map[string]audit.Outcome{
	"ok": audit.OK, "done": audit.OK, "refused": audit.Refused, "failed": audit.Failed, "held": audit.Held,
}

func resultValue(text string) ([]storage.Value, error) {
	o, ok := outcomeNames[text]
	if !ok {
		return nil, wrongFilter(text, []string{"ok", "refused", "failed", "held"}, "%q is no result", text)
	}
	return []storage.Value{{Number: uint64(o)}}, nil
}

func networkValue(text string) ([]storage.Value, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, errAddr := netip.ParseAddr(text)
		if errAddr != nil || a.Zone() != "" {
			return nil, wrongFilter(text, []string{"203.0.113.7", "203.0.113.0/24", "2001:db8::/48"}, "%q is no address and no network", text)
		}
		a = a.Unmap()
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return []storage.Value{{Network: p.Masked()}}, nil
}

// triggerValues are what caused a send: a kind, or what it was, a Message-ID with or
// without its angle brackets.
func triggerValues(text string) []storage.Value {
	values := []storage.Value{{Text: text}}
	if with := angled(text); with != text && strings.Contains(text, "@") {
		values = append(values, storage.Value{Text: with})
	}
	return values
}

// maxExplored bounds the events of one page.
const maxExplored = 500

// Explored is a page of the log, the newest first, with what there is to say of all
// that the filter leaves.
type Explored struct {
	Query   string            `json:"query"` // canonical
	Flags   string            `json:"flags"` // of audit list, which leaves the same
	Events  []LoggedEvent     `json:"events"`
	Names   map[string]string `json:"names"`            // of what facets and the filter name, by id
	Older   uint64            `json:"older,omitempty"`  // there may be more before this number
	Newer   uint64            `json:"newer,omitempty"`  // and from this number on
	Partial bool              `json:"partial"`          // less than a page was found, and not all was looked through: go on
	Size    uint64            `json:"size"`             // of the log, when this was asked
	Signed  *SignedTree       `json:"signed,omitempty"` // the newest checkpoint
	Counts  *EventCounts      `json:"counts,omitempty"`
}

// SignedTree is a checkpoint.
type SignedTree struct {
	Size uint64    `json:"size"`
	Root string    `json:"root"` // hexadecimal
	Time time.Time `json:"time"`
}

// EventCounts are what a filter leaves, counted among the newest events.
type EventCounts struct {
	Matching int             `json:"matching"`
	Looked   int             `json:"looked"` // events that were looked at
	Oldest   uint64          `json:"oldest"` // the first of them
	AtMost   bool            `json:"at_most,omitempty"`
	Facets   []FacetCount    `json:"facets"`
	First    time.Time       `json:"first,omitzero"` // of the first interval
	Seconds  int             `json:"seconds,omitempty"`
	Times    []IntervalCount `json:"times,omitempty"`
}

// FacetCount is a value that events have: key and value as a filter has them.
type FacetCount struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Name  string `json:"name,omitempty"` // what people call the value
	Count int    `json:"count"`
}

// IntervalCount is how many events there were in one interval.
type IntervalCount struct {
	Count   int `json:"count"`
	Refused int `json:"refused"`
}

// Explore asks for a page of the log. That it was read is an event. // AU-10
func (c *Client) Explore(ctx context.Context, q EventQuery) (Explored, error) {
	return ask[EventQuery, Explored](ctx, c, "audit.explore", q)
}

func (s *Server) auditExplore(ctx context.Context, by caller, q EventQuery) (Explored, error) {
	if q.Limit < 0 || q.Limit > maxExplored {
		return Explored{}, invalid("a page has 1 to %d events", maxExplored)
	}
	f, err := q.filter()
	if err != nil {
		return Explored{}, err
	}
	search, err := s.search(ctx, by, f)
	if err != nil {
		return Explored{}, err
	}
	size, err := s.recordListing(ctx, by, f, search)
	if err != nil {
		return Explored{}, err
	}
	out := Explored{Query: f.String(), Flags: f.Flags(), Names: map[string]string{}, Size: size, Events: []LoggedEvent{}}
	search.To = size
	names := s.newNames(by)
	if q.Counts {
		if out.Counts, err = s.counts(ctx, search, names, out.Names); err != nil {
			return Explored{}, err
		}
	}
	search.Limit = q.Limit
	if q.Limit == 0 {
		search.Limit = 50
	}
	if err := s.explorePage(ctx, q, search, names, &out); err != nil {
		return Explored{}, err
	}
	out.Signed, err = s.signedTree(ctx)
	return out, err
}

// explorePage finds the events of the page: the newest before q.Before, or the oldest
// from q.From on.
func (s *Server) explorePage(ctx context.Context, q EventQuery, search storage.Search, names *names, out *Explored) error {
	if search.Newest = q.From == 0; q.Before > 0 {
		search.To = min(search.To, q.Before)
	}
	search.From = q.From
	found, err := s.Store.Search(ctx, search)
	if err != nil {
		return err
	}
	if search.Newest {
		if found.More {
			out.Older = found.Next
		}
		if search.To < out.Size {
			out.Newer = search.To
		}
	} else {
		if found.More {
			out.Newer = found.Next
		}
		out.Older = search.From
		slices.Reverse(found.Events)
	}
	out.Partial = found.More && len(found.Events) < search.Limit
	for i := range found.Events {
		row, err := names.row(ctx, &found.Events[i])
		if err != nil {
			return err
		}
		out.Events = append(out.Events, row)
	}
	return nil
}

// counts counts what a search finds, with names for ids.
func (s *Server) counts(ctx context.Context, search storage.Search, names *names, called map[string]string) (*EventCounts, error) {
	c, err := s.Store.Count(ctx, search)
	if err != nil {
		return nil, err
	}
	out := &EventCounts{Matching: c.Matching, Looked: c.Looked, Oldest: c.Oldest, AtMost: c.AtMost, First: c.First, Seconds: int(c.Width / time.Second), Facets: []FacetCount{}}
	for _, n := range c.Times {
		out.Times = append(out.Times, IntervalCount{n.Count, n.Refused})
	}
	for _, f := range c.Facets {
		facet := FacetCount{Key: keyOfField(f.Field), Count: f.Count}
		if facet.Value, facet.Name, err = names.value(ctx, f.Field, f.Value); err != nil {
			return nil, err
		}
		if facet.Name != "" {
			called[facet.Value] = facet.Name
		}
		out.Facets = append(out.Facets, facet)
	}
	return out, nil
}

func keyOfField(f storage.Field) string {
	for _, k := range filterKeys {
		if fieldOf[k.name] == f {
			return k.name
		}
	}
	return ""
}

// value is a value as a filter has it, and what people call it.
func (n *names) value(ctx context.Context, f storage.Field, v storage.Value) (text, name string, err error) {
	switch f {
	case storage.FieldVerb:
		return audit.Verb(v.Number).String(), "", nil
	case storage.FieldResult:
		return audit.Outcome(v.Number).String(), "", nil
	case storage.FieldActor:
		return audit.ActorKind(v.Number).String(), "", nil
	case storage.FieldTrigger:
		return v.Text, "", nil
	case storage.FieldNetwork:
		if v.Network.IsSingleIP() {
			return v.Network.Addr().String(), "", nil
		}
		return v.Network.String(), "", nil
	case storage.FieldAgent:
		name, err = n.agent(ctx, v.ID)
	case storage.FieldCredential:
		name, err = n.credential(ctx, v.ID)
	case storage.FieldInbox:
		name, err = n.inbox(ctx, v.ID)
	}
	return v.ID.String(), name, err
}

// signedTree is the newest checkpoint, nil before the first.
func (s *Server) signedTree(ctx context.Context) (*SignedTree, error) {
	cp, ok, err := s.Store.Signed(ctx)
	if err != nil || !ok {
		return nil, err
	}
	return signedView(cp), nil
}

func signedView(cp audit.Checkpoint) *SignedTree {
	return &SignedTree{Size: cp.Size, Root: hex.EncodeToString(cp.Root[:]), Time: cp.Time}
}
