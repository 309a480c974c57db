package panel

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/server/control"
	"postern/web/ui"
	"postern/web/ui/chart"
)

var auditRoutes = []route{
	{"GET /audit", false, (*visit).audit},
	{"GET /audit/export", false, (*visit).exportAudit},
	{"POST /audit/verify", false, (*visit).verifyAudit},
}

// auditPageRows is how many events a page shows.
const auditPageRows = 50

// entry is an event as a page shows it.
type entry struct {
	control.Event
	leaf  string
	names map[string]string
}

// exploration is a page of the log with what stands around it.
type exploration struct {
	control.Explored
	text   string // as it was asked for
	filter control.Filter
	rows   []entry
	clock  ui.Clock
}

// audit shows what happened, the newest first. That it was looked at is an event.
func (v *visit) audit() error {
	text := strings.TrimSpace(v.r.FormValue("q"))
	if isMessageID(text) {
		http.Redirect(v.w, v.r, tracePath(text), http.StatusSeeOther)
		return nil
	}
	if with := strings.TrimSpace(v.r.FormValue("with")); with != "" {
		http.Redirect(v.w, v.r, auditPath(strings.TrimSpace(with+" "+text)), http.StatusSeeOther)
		return nil
	}
	if bounds := v.bounds(); bounds != "" {
		http.Redirect(v.w, v.r, auditPath(strings.TrimSpace(text+bounds)), http.StatusSeeOther)
		return nil
	}
	x, err := v.explore(v.meant(text))
	if err != nil {
		v.wrong = err
	}
	return v.page("Audit", "/audit", "postern audit list"+x.Flags+" --limit "+strconv.Itoa(auditPageRows), auditPage(v, x))
}

// explore asks for the page.
func (v *visit) explore(text string) (exploration, error) {
	x := exploration{text: text, clock: v.clock}
	f, err := control.ParseFilter(text)
	if err != nil {
		return x, invalidFilter(err)
	}
	q := control.EventQuery{Query: f.String(), Limit: auditPageRows, Counts: true}
	q.Before, _ = strconv.ParseUint(v.r.FormValue("before"), 10, 64)
	q.From, _ = strconv.ParseUint(v.r.FormValue("from"), 10, 64)
	if x.Explored, err = v.c.Explore(v.r.Context(), q); err != nil {
		return x, err
	}
	x.filter, x.text = f, f.String()
	names := maps.Clone(x.Names)
	for _, row := range x.Events {
		maps.Copy(names, row.Names)
		x.rows = append(x.rows, entry{row.Event, row.Leaf, names})
	}
	return x, nil
}

// bounds are what the form under the bars adds to a filter.
func (v *visit) bounds() (words string) {
	for _, key := range []string{"since", "until"} {
		if value := strings.TrimSpace(v.r.FormValue(key)); value != "" {
			words += " " + control.FilterTerm{Key: key, Values: []string{value}}.String()
		}
	}
	return words
}

// meant makes a filter of what somebody typed into a search for everything: the name
// of an agent, or an address.
func (v *visit) meant(text string) string {
	if text == "" || strings.ContainsAny(text, " :") {
		return text
	}
	if strings.Contains(text, "@") {
		return "inbox:" + text
	}
	if _, err := v.c.Agent(v.r.Context(), text); err == nil {
		return "agent:" + text
	}
	return text
}

func invalidFilter(err error) error {
	return &control.Error{Code: control.Invalid, Message: err.Error()}
}

// verifyAudit has the log verified, and says on the page what was found.
func (v *visit) verifyAudit() error {
	for found, err := range v.c.Verify(v.r.Context()) {
		switch {
		case err != nil:
			return v.again(err, (*visit).audit)
		case !found.Done:
			continue
		case !found.OK:
			v.wrong = errors.New("The log is not the one that was signed: " + found.Problem + ". Stop the server, keep a copy of its data, and verify that with postern audit verify --data DIR.")
			return v.audit()
		}
		said := fmt.Sprintf("Verified at %s: the tree of %s events has root %s.", v.clock.Now.In(v.clock.Zone).Format("15:04:05"), ui.Number(found.Size), hashGroups(found.Root))
		if s := found.Signed; s != nil {
			agree := "agree"
			if found.Checkpoints == 1 {
				agree = "agrees"
			}
			said += fmt.Sprintf(" %s %s, the newest was signed at %s.", ui.Count(int64(found.Checkpoints), "checkpoint"), agree, s.Time.In(v.clock.Zone).Format("15:04:05"))
		}
		return v.done(auditPath(v.form("q")), said)
	}
	return nil
}

// exportAudit gives the events of a filter as a file that anybody can verify.
func (v *visit) exportAudit() error {
	f, err := control.ParseFilter(v.r.FormValue("q"))
	if err != nil {
		return invalidFilter(err)
	}
	v.w.Header().Set("Content-Type", "application/octet-stream")
	v.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "postern-"+v.clock.Now.UTC().Format("20060102T150405Z")+".bundle"))
	return v.c.Export(v.r.Context(), control.EventQuery{Query: f.String()}, v.w)
}

// isMessageID reports whether somebody looks for a message.
func isMessageID(text string) bool {
	return strings.HasPrefix(text, "<") && strings.Contains(text, "@")
}

// auditPath is the page of a filter.
func auditPath(query string) string {
	if query == "" {
		return "/audit"
	}
	return "/audit?" + url.Values{"q": {query}}.Encode()
}

// typed is what stands in the field: nothing, once it has become a filter.
func (x *exploration) typed() string {
	if x.filter != nil {
		return ""
	}
	return x.text
}

// turn is the page of the same filter that lies before or behind.
func (x *exploration) turn(key string, seq uint64) string {
	if seq == 0 {
		return ""
	}
	return "/audit?" + url.Values{"q": {x.text}, key: {strconv.FormatUint(seq, 10)}}.Encode()
}

// chips are the words of the filter, each with the page without it.
func (x *exploration) chips() (all []chip) {
	for i, t := range x.filter {
		key, value, _ := strings.Cut(t.String(), ":")
		all = append(all, chip{key + ":", value, auditPath(x.filter.Without(i).String())})
	}
	return all
}

// chip is a word of a filter.
type chip struct{ key, value, without string }

// facet is a key with the values that events have.
type facet struct {
	title  string
	values []facetValue
}

// facetValue is a value with the page that shows its events alone, or if it does so
// already, the page of all.
type facetValue struct {
	name  string
	count int
	here  bool
	to    string
}

// facetTitles are the keys that have facets, in the order in which they stand.
var facetTitles = []struct{ key, title string }{
	{"verb", "Event"}, {"result", "Result"}, {"agent", "Agent"}, {"actor", "Who acted"}, {"inbox", "Inbox"}, {"network", "Network"}, {"credential", "Token"}, {"trigger", "Cause of sends"},
}

// facets are what the events of the filter have, counted.
func (x *exploration) facets() (all []facet) {
	if x.Counts == nil {
		return nil
	}
	for _, k := range facetTitles {
		f := facet{title: k.title}
		for _, n := range x.Counts.Facets {
			if n.Key != k.key {
				continue
			}
			value := n.Value
			if n.Name != "" {
				value = n.Name
			}
			here := x.filter.Has(k.key, value) || x.filter.Has(k.key, n.Value)
			to := x.filter.Only(k.key, value)
			if here {
				to = slices.DeleteFunc(slices.Clone(x.filter), func(t control.FilterTerm) bool { return t.Key == k.key && !t.Not })
			}
			f.values = append(f.values, facetValue{shortID(n.Value, n.Name), n.Count, here, auditPath(to.String())})
		}
		if len(f.values) > 0 {
			all = append(all, f)
		}
	}
	return all
}

// shortID is a name, or the end of an id that nothing is called by any more.
func shortID(value, name string) string {
	switch {
	case name != "":
		return name
	case len(value) == 36 && strings.Count(value, "-") == 4:
		return "…" + value[24:]
	}
	return value
}

// counted says of what the counts are.
func (x *exploration) counted() string {
	c := x.Counts
	if c == nil {
		return ""
	}
	text := ui.Count(int64(c.Matching), "event")
	if c.AtMost {
		text = "At most " + text
	}
	if c.Oldest > 0 && uint64(c.Looked) < x.Size {
		text += " since no. " + ui.Number(c.Oldest) + "; older ones are not counted"
	}
	return text
}

// bars are the events of the filter over time.
func (x *exploration) bars() chart.Bars {
	c := x.Counts
	every := time.Duration(c.Seconds) * time.Second
	other, refused := make([]int64, len(c.Times)), make([]int64, len(c.Times))
	most, at := 0, 0
	for i, n := range c.Times {
		other[i], refused[i] = int64(n.Count-n.Refused), int64(n.Refused)
		if n.Count > most {
			most, at = n.Count, i
		}
	}
	b := chart.Bars{Words: chart.Words{ID: "events", Title: "Events by " + spanName(every)}, Axis: "From", Wide: 1100,
		Steps:  chart.Steps(c.First, every, len(c.Times), x.clock.Zone),
		Series: []chart.Series{{Name: "all other", Colour: chart.Usual, Values: other}, {Name: "refused", Colour: chart.Bad, Values: refused}}}
	b.Desc = fmt.Sprintf("%d intervals; the most, %s, from %s on.", len(c.Times), ui.Count(int64(most), "event"), b.Steps[at].Name)
	return b
}

// spanName is a length of time as a heading has it.
func spanName(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{7 * 24 * time.Hour, "week"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.of; n == 1 {
			return u.name
		} else if n > 1 && d%u.of == 0 {
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return d.String()
}

// since and until are the bounds of the filter, for the form under the bars.
func (x *exploration) since() string { return x.filter.Value("since") }
func (x *exploration) until() string { return x.filter.Value("until") }

// lead says what the log is.
func (x *exploration) lead() string {
	if x.Size == 0 {
		return "What happened, in an unbroken sequence. Nothing here can be changed without a trace."
	}
	return ui.Count(int64(x.Size), "event") + " in an unbroken sequence. Nothing here can be changed without a trace."
}

// within says in which signed tree an event is.
func (x *exploration) within(e *entry) string {
	if s := x.Signed; s != nil && e.Seq < s.Size {
		return "In the tree of size " + ui.Number(s.Size) + ", signed " + s.Time.In(x.clock.Zone).Format("2 Jan 15:04:05") + "."
	}
	return "Not in a signed tree yet: one is signed every minute."
}

// actor is who acted, as people call them.
func (e *entry) actor() string {
	if e.Actor.Name != "" {
		return e.Actor.Name
	}
	return e.name(e.Actor.ID)
}

// name is what people call an id.
func (e *entry) name(id string) string {
	if name := e.names[id]; name != "" {
		return name
	}
	return id
}

// outcome is the outcome of an event as a page shows it.
func (e *entry) outcome() ui.State {
	switch e.Outcome {
	case "ok":
		return ui.State{Class: "none", Icon: "ok", Word: "Done"}
	case "refused":
		return ui.State{Class: "bad", Word: "Refused"}
	case "held":
		return ui.State{Class: "wait", Word: "Held"}
	}
	return ui.State{Class: "warn", Word: title(e.Outcome)}
}

// json is the event as the log renders it, for reading.
func (e *entry) json() string {
	text, err := json.MarshalIndent(e.Event, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// hashGroups is a hash in hexadecimal, its beginning and its end.
func hashGroups(hash string) string {
	if len(hash) < 16 {
		return hash
	}
	return hash[:4] + " " + hash[4:8] + " … " + hash[len(hash)-4:]
}

// filterWord is a key of filters, and what its values are.
type filterWord struct{ key, help string }

func filterWords() (all []filterWord) {
	keys, help := control.FilterKeys()
	for i := range keys {
		all = append(all, filterWord{keys[i] + ":", help[i]})
	}
	return all
}

// timeless is the filter without its bounds of time.
func (x *exploration) timeless() string {
	return slices.DeleteFunc(slices.Clone(x.filter), func(t control.FilterTerm) bool { return t.Key == "since" || t.Key == "until" }).String()
}
