package submission

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/server/message"
	"postern/storage/audit"
)

// Bounds of what an agent declares.
const (
	maxDeclared      = 16   // fields that are kept as written
	maxDeclaredBytes = 1024 // of each of them
	maxRun           = 64   // characters
)

// declaration is what the agent says of its message: why it sends, and how the
// content came about. It is the agent's word and nothing more, and is recorded
// beside what the server knows. // AU-3
//
//	Agent-Trigger: type=message; ref="<id@x>"     message, schedule, user, event, agent
//	Agent-Content: origin=generated; model="m-5"  generated, templated, human, mixed; model or template
//	Agent-Run: 7f3c                               up to 64 characters; or traceparent (W3C Trace Context)
//	Agent-Sources: <id1@x>, <id2@y>               messages that went into the content
//
// The first two are structured values as message.ParseMembers takes them. What is
// malformed is recorded as such, as it was written, and counts as not declared.
type declaration struct {
	trigger, ref     string // one of triggers, and what it was
	origin, madeWith string // one of origins, and the model or template
	model            bool   // it is a model
	run              string
	sources          []string // Message-IDs

	remarks []string // words: malformed-trigger
	written []string // every field as written: "agent-run: 17"
}

// The closed vocabularies.
var (
	triggers = map[string]bool{"message": true, "schedule": true, "user": true, "event": true, "agent": true}
	origins  = map[string]bool{"generated": true, "templated": true, "human": true, "mixed": true}
)

// declares reports whether a field is the agent's word to its own server, which
// leaves with no message. The context of its trace would tell strangers how an
// agent is built.
func declares(f message.Field) bool {
	return f.HasPrefix("agent-") || f.Is("idempotency-key") || f.Is("traceparent") || f.Is("tracestate")
}

// declared reads what a header declares. A field that stands twice, but for
// Agent-Sources, is malformed: which of them holds would be a guess.
func declared(header []byte) (d declaration) {
	var sources string
	var parent string
	seen := map[string]bool{}
	for f := range message.Fields(header) {
		if !declares(f) {
			continue
		}
		name, value := strings.ToLower(string(f.Name)), f.Value()
		d.write(name, value)
		switch {
		case f.Is("agent-sources"):
			sources += " " + value
			continue
		case seen[name]:
			d.twice(name)
			continue
		}
		seen[name] = true
		switch {
		case f.Is("agent-trigger"):
			d.readTrigger(value)
		case f.Is("agent-content"):
			d.readContent(value)
		case f.Is("agent-run"):
			d.readRun(value)
		case f.Is("traceparent"):
			parent = value
		}
	}
	d.readSources(sources)
	if d.run == "" && traceparent(parent) {
		d.run = parent
	}
	return d
}

// write keeps a field as it was written.
func (d *declaration) write(name, value string) {
	if len(d.written) < maxDeclared {
		d.written = append(d.written, name+": "+value[:min(len(value), maxDeclaredBytes)])
	}
}

func (d *declaration) twice(name string) {
	switch name {
	case "agent-trigger":
		d.trigger, d.ref = "", ""
		d.remark("malformed-trigger")
	case "agent-content":
		d.origin, d.madeWith, d.model = "", "", false
		d.remark("malformed-content")
	case "agent-run":
		d.run = ""
		d.remark("malformed-run")
	}
}

// remark notes a word, once.
func (d *declaration) remark(word string) {
	if !slices.Contains(d.remarks, word) {
		d.remarks = append(d.remarks, word)
	}
}

func (d *declaration) readTrigger(value string) {
	by, ok := structured(value)
	kind, ref := by["type"], by["ref"]
	if !ok || !triggers[kind] {
		d.remark("malformed-trigger")
		return
	}
	d.trigger, d.ref = kind, ref
	if kind == "message" && ref != "" && ref[0] != '<' {
		d.ref = "<" + ref + ">" // as mail writes it; people leave the brackets out
	}
}

func (d *declaration) readContent(value string) {
	by, ok := structured(value)
	if !ok || !origins[by["origin"]] {
		d.remark("malformed-content")
		return
	}
	d.origin, d.madeWith, d.model = by["origin"], by["model"], by["model"] != ""
	if !d.model {
		d.madeWith = by["template"]
	}
}

// structured reads a structured value by its keys. Those that are not asked for
// are for programs of another time.
func structured(value string) (by map[string]string, ok bool) {
	members, err := message.ParseMembers(value)
	by = make(map[string]string, len(members))
	for _, m := range members {
		by[m.Key] = m.Value
	}
	return by, err == nil
}

func (d *declaration) readRun(value string) {
	if value == "" || utf8.RuneCountInString(value) > maxRun || strings.IndexFunc(value, unprintable) >= 0 {
		d.remark("malformed-run")
		return
	}
	d.run = value
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func (d *declaration) readSources(value string) {
	ids, whole := message.MessageIDs(value)
	if !whole {
		d.remark("malformed-sources")
	}
	d.sources = ids
}

// traceparent reports whether a value is one of version 00: version, trace,
// parent and flags in lower-case hex (W3C Trace Context, section 3.2.2). Another
// is ignored, as that specification has it.
func traceparent(value string) bool {
	if len(value) != 55 || value[:3] != "00-" || value[35] != '-' || value[52] != '-' {
		return false
	}
	return strings.Trim(value[3:35]+value[36:52]+value[53:], "0123456789abcdef") == ""
}

// fields are what a submission's event says of the declaration. What nobody
// declared is derived from the message that it answers, and marked so.
func (d *declaration) fields(inReplyTo string) (clear, personal audit.Fields) {
	trigger, by, ref := d.trigger, "declared", d.ref
	if trigger == "" && inReplyTo != "" {
		trigger, by, ref = "message", "derived", inReplyTo
	}
	if trigger != "" {
		clear = append(clear, audit.Word(audit.KeyTrigger, trigger), audit.Word(audit.KeyTriggerBy, by))
	}
	if d.origin != "" {
		clear = append(clear, audit.Word(audit.KeyOrigin, d.origin)) // AU-4
	}
	for _, word := range d.remarks {
		clear = append(clear, audit.Word(audit.KeyRemark, word))
	}
	for _, v := range []struct {
		key  audit.Key
		text string
	}{{audit.KeyTriggerRef, ref}, {audit.KeyMadeWith, d.madeWith}, {audit.KeyRun, d.run}} {
		if v.text != "" {
			personal = append(personal, audit.Text(v.key, v.text))
		}
	}
	for _, id := range d.sources {
		personal = append(personal, audit.Text(audit.KeySource, id))
	}
	for _, text := range d.written {
		personal = append(personal, audit.Text(audit.KeyText, text))
	}
	return clear, personal
}
