package control

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/server/message"
)

// because tells what made an agent send a message: what it declares, as its word, and
// of a message that it answers what the server saw. Empty when neither says anything.
// AU-3
func (e *Event) because() string {
	answers, known := e.answers()
	declared := e.declared()
	var parts []string
	switch {
	case declared == "" && answers != "":
		parts = append(parts, answers+known)
	case declared != "":
		parts = append(parts, declared+", as it says")
		if answers != "" && !strings.HasPrefix(declared, answers) {
			parts = append(parts, "it answers "+answers+known)
		} else if answers != "" {
			parts[0] = declared + known
		}
	}
	return strings.Join(parts, "; ")
}

// declared is what the agent says made it send; a message that it answers, which is
// derived, is no word of the agent.
func (e *Event) declared() string {
	kind, ref := e.field("trigger"), e.personal("trigger_ref")
	if kind == "" || e.field("trigger_by") == "derived" {
		return ""
	}
	switch {
	case kind == "message" && ref != "":
		return spokenID(ref)
	case kind == "message":
		return "a message"
	case kind == "user":
		kind = "person"
	}
	if ref == "" {
		article := "a "
		if strings.ContainsRune("aeiou", rune(kind[0])) {
			article = "an "
		}
		return article + kind
	}
	return "the " + kind + " “" + strings.NewReplacer("“", `"`, "”", `"`).Replace(cut(ref, 60)) + "”"
}

// answers is the message that this one answers, and what the server knows of the
// reading of it.
func (e *Event) answers() (id, known string) {
	stored := e.field("answers")
	if ids, _ := message.MessageIDs(e.personal("in_reply_to")); len(ids) > 0 {
		id = spokenID(ids[0])
	} else if ref := e.personal("trigger_ref"); ref != "" && e.field("trigger_by") == "derived" {
		id = spokenID(ref)
	} else if stored != "" {
		id = "message " + lastOf(stored)
	}
	switch {
	case id == "":
	case stored == "":
		known = ", which never came to this inbox"
	case e.Fields["millis"] != nil:
		known = ", read " + spokenSpan(time.Duration(e.number("millis"))*time.Millisecond) + " before"
	default:
		known = ", which it had not read lately"
	}
	return id, known
}

// quoted tells how much of the text stands in a message that the agent had read, where
// that is another one than it answers.
func (e *Event) quoted() string {
	ids, shares := e.list("quotes"), e.list("share")
	for i, id := range ids {
		if id != e.field("answers") && i < len(shares) {
			return shares[i] + " % of its text stands in message " + lastOf(id) + ", which it had read"
		}
	}
	return ""
}

// recipients tells to how many a message goes, who they are where they are few, and to
// how many of them the inbox had never written.
func (e *Event) recipients() string {
	to := e.list("to")
	n := max(int(e.number("recipients")), len(to))
	fresh := min(int(e.number("first_time")), n)
	if n == 0 {
		return ""
	}
	named := ""
	if len(to) == n && n <= 3 {
		for i := range to {
			to[i] = cut(to[i], 100)
		}
		named = inARow(to)
	}
	what := "recipient"
	if fresh == n {
		what, fresh = "new recipient", 0
	}
	all := several(int64(n), what)
	switch {
	case named != "" && what == "recipient":
		all = named
	case named != "":
		all += " (" + named + ")"
	}
	switch {
	case fresh == 1:
		all += ", one of them new"
	case fresh > 1:
		all += fmt.Sprintf(", %d of them new", fresh)
	}
	return all
}

// about is the message that an event is about: its Message-ID, or the end of its id.
func (e *Event) about() string {
	if id := e.personal("message_id"); id != "" {
		return spokenID(id)
	}
	if e.Object != "" {
		return "message " + lastOf(e.Object)
	}
	return "a message"
}

// ruled is why rules decided as they did.
func (e *Event) ruled() string {
	var words []string
	for _, rule := range e.list("rule") {
		word := Rules[rule]
		if word == "" {
			word = strings.ReplaceAll(rule, "-", " ")
		}
		words = append(words, word)
	}
	return inARow(words)
}

// contradicted are the words of the agent that the server knows better.
func (e *Event) contradicted() string {
	var words []string
	for _, c := range e.list("contradiction") {
		words = append(words, Contradictions.Of(c))
	}
	return strings.Join(words, "; ")
}

// waited is how long a message had waited until the event.
func (e *Event) waited() string {
	since, err := time.Parse(time.RFC3339Nano, e.field("since"))
	if err != nil || e.Time.Before(since) {
		return ""
	}
	return spokenSpan(e.Time.Sub(since))
}

func (e *Event) field(key string) string {
	s, _ := e.Fields[key].(string)
	return s
}

func (e *Event) personal(key string) string {
	s, _ := e.Personal[key].(string)
	return s
}

// number is a number among the fields, 0 when there is none.
func (e *Event) number(key string) (n int64) {
	fmt.Sscan(fmt.Sprint(e.Fields[key]), &n)
	return n
}

// list are the values of a key, as often as it stands.
func (e *Event) list(key string) (all []string) {
	v, ok := e.Personal[key]
	if !ok {
		v = e.Fields[key]
	}
	several, ok := v.([]any)
	if !ok && v != nil {
		several = []any{v}
	}
	for _, one := range several {
		all = append(all, fmt.Sprint(one))
	}
	return all
}

// lastOf is enough of an id to tell it from others.
func lastOf(id string) string { return "…" + id[max(0, len(id)-12):] }

// spokenID is a Message-ID in a sentence: of a long one the ends.
func spokenID(id string) string {
	if ids, _ := message.MessageIDs(id); len(ids) == 1 {
		id = ids[0]
	}
	if utf8.RuneCountInString(id) <= 80 {
		return cut(id, 80)
	}
	r := []rune(cut(id, 1000))
	return string(r[:30]) + "…" + string(r[len(r)-40:])
}

// cut is a text of somebody else in a sentence: on one line, in the direction of the
// sentence, and not too long.
func cut(text string, most int) string {
	unseen := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
	r := slices.DeleteFunc([]rune(strings.ToValidUTF8(text, "\uFFFD")), unseen)
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}

// several is a number with its noun: "one message", "12 messages".
func several(n int64, one string) string {
	if n == 1 {
		return "one " + one
	}
	if stem, ok := strings.CutSuffix(one, "person"); ok {
		return fmt.Sprintf("%d %speople", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// spokenSpan is a length of time in its largest unit.
func spokenSpan(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than 1 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int64(d/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int64(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int64(d/time.Hour))
	}
	return fmt.Sprintf("%d days", int64(d/(24*time.Hour)))
}

// inARow joins what holds together.
func inARow(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
