package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/server/message"
)

func messageCommand(t *talk) *cobra.Command {
	return noun("message", "What is in an inbox, and what happened to a message", messageList(t), messageShow(t), messageSave(t), messageTrace(t), messageMark(t), messageMarks(t), messageCaptured(t))
}

func messageTrace(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "trace MESSAGE-ID", Short: "Show who, what, when and why of a message on one page", Args: exactly("MESSAGE-ID"),
		Long: `Show who, what, when and why of a message on one page: how it came, with what authentication
and verdict, or which agent submitted it, what that agent declares of it and what the server
knows; each attempt to hand it on; which token read, flagged, moved or removed it, and what
those agents sent next; its digest at each step. That somebody looked is an event itself.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			trace, err := t.client().Trace(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if t.format != asTable {
				return t.encode(trace)
			}
			return t.trace(&trace)
		},
	}
}

// tracePage writes the history of a message for a person.
type tracePage struct {
	*talk
	tr    *control.Trace
	names logged
}

// trace writes the page.
func (t *talk) trace(tr *control.Trace) error {
	p := tracePage{t, tr, logged{names: tr.Names}}
	for _, part := range []func() error{p.head, p.provenance, p.scorings, p.recipients, p.decisions, p.readers, p.sequels, p.hashes, p.events} {
		if err := part(); err != nil {
			return err
		}
	}
	if tr.Truncated {
		t.say("There is more than one page holds: postern audit list --message-id has it all.")
	}
	return nil
}

func (p tracePage) head() error {
	pairs := []pair{{"Message-ID", p.tr.MessageID}, {"Subject", message.DecodeWords(p.tr.Subject)}, {"From", p.tr.From}}
	if r := p.tr.Received; r != nil {
		pairs = append(pairs, pair{"received", instant(r.Time) + " from " + strings.TrimSpace(r.HELO+" "+r.Network) + ", " + orPlain(r.TLS)},
			pair{"authentication", fmt.Sprintf("SPF %s, DKIM %s, DMARC %s", r.SPF, r.DKIM, r.DMARC)}, pair{"asked for", r.Policy})
	}
	if v := p.tr.Provenance; v != nil {
		pairs = append(pairs, pair{"submitted", instant(v.Time) + " by agent " + p.names.name(v.Agent) + " with token " + p.names.name(v.Credential)})
	}
	verdict := p.tr.Verdict
	if len(p.tr.Reasons) > 0 {
		verdict += ": " + strings.Join(p.tr.Reasons, ", ")
	}
	return p.show(nil, append(pairs, pair{"Verdict", verdict})...)
}

// scorings writes why the message has its verdict, where that is not clean, or became
// another.
func (p tracePage) scorings() error {
	for i := range p.tr.Scorings {
		if j := &p.tr.Scorings[i]; j.Verdict != "clean" || len(p.tr.Scorings) > 1 && j.Cause != "delivery" {
			p.judgement(j)
		}
	}
	return nil
}

func orPlain(tls string) string {
	if tls == "" {
		return "without TLS"
	}
	return tls
}

// provenance writes what is declared beside what is observed, and below where the
// two differ.
func (p tracePage) provenance() error {
	v := p.tr.Provenance
	if v == nil {
		return nil
	}
	declared, observed := declaredLines(&v.Declared), p.observedLines(v)
	w := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(p.out)
	fmt.Fprintln(w, "DECLARED\tOBSERVED")
	for i := range max(len(declared), len(observed)) {
		fmt.Fprintf(w, "%s\t%s\n", visible(line(declared, i)), visible(line(observed, i)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, word := range v.Contradictions {
		fmt.Fprintf(p.out, "%s %s\n", p.strong("contradicted: "+word+":"), control.Contradictions.Of(word))
	}
	for _, word := range v.Remarks {
		fmt.Fprintf(p.out, "note: %s: %s\n", word, control.Remarks.Of(word))
	}
	for _, written := range p.tr.Declared {
		fmt.Fprintf(p.out, "declared %s\n", visible(written))
	}
	return nil
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

func declaredLines(d *control.Declared) (all []string) {
	switch {
	case d.Derived:
		all = append(all, "trigger: none; derived: message "+d.Ref)
	case d.Trigger == "":
		all = append(all, "trigger: none")
	default:
		all = append(all, strings.TrimSpace("trigger: "+d.Trigger+" "+d.Ref))
	}
	content := "content: none"
	if d.Origin != "" {
		content = "content: " + d.Origin
		if d.MadeWith != "" {
			content += " with " + d.MadeWith
		}
	}
	all = append(all, content)
	if d.Run != "" {
		all = append(all, "run: "+d.Run)
	}
	for _, s := range d.Sources {
		all = append(all, "source: "+s)
	}
	return all
}

func (p tracePage) observedLines(v *control.Provenance) (all []string) {
	o := &v.Observed
	if o.Answers == nil {
		all = append(all, "answers nothing that is stored here")
	} else {
		text := "answers " + orDash(o.Answers.MessageID)
		if o.Answers.From != "" {
			text += " from " + o.Answers.From
		}
		if o.AnswersMS != nil {
			text += ", read " + lapse(*o.AnswersMS) + " before"
		}
		all = append(all, text)
	}
	for _, q := range o.Quotes {
		all = append(all, fmt.Sprintf("%d %% of its text stands in %s", q.Share, orDash(q.MessageID)))
	}
	if len(o.Reads) == 0 {
		return append(all, "the agent had read nothing within a day")
	}
	const shown = 5
	for _, r := range slices.Backward(o.Reads[max(len(o.Reads)-shown, 0):]) {
		all = append(all, fmt.Sprintf("%s before: read %s in %s with token %s (%s)", lapse(r.BeforeMS), messages(r.Messages), p.names.name(r.Inbox), p.names.name(r.Credential), strings.Join(r.Class, ", ")))
	}
	if n := len(o.Reads) - shown; n > 0 {
		all = append(all, fmt.Sprintf("and %d more reads within a day", n))
	}
	return all
}

func messages(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return decimal(n) + " messages"
}

func (p tracePage) recipients() error {
	fmt.Fprintln(p.out)
	return list(p.talk, given(p.tr.Recipients), "It names no recipients.", []string{"RECIPIENT", "OUTCOME", "TIME", "REPLY", "TLS"},
		func(r control.Recipient) []string {
			reply := strings.TrimSpace(strings.TrimPrefix(code(int(r.Code)), "-") + " " + r.Enhanced)
			return []string{r.Address, r.Outcome, instant(r.Time), orDash(reply), secured(r.TLS)}
		})
}

func (p tracePage) decisions() error {
	if len(p.tr.Decisions) == 0 {
		return nil
	}
	fmt.Fprintln(p.out)
	return list(p.talk, given(p.tr.Decisions), "", []string{"DECIDED", "BY", "TIME", "RULES", "RECIPIENTS", "REASON"}, func(d control.Decision) []string {
		to := "all"
		if len(d.To) > 0 {
			to = strings.Join(d.To, ", ")
		}
		return []string{d.What, strings.TrimSpace(d.Kind + " " + d.By), instant(d.Time), orDash(strings.Join(d.Rules, ", ")), to, orDash(d.Note)}
	})
}

func (p tracePage) readers() error {
	if len(p.tr.Readers) == 0 {
		return nil
	}
	fmt.Fprintln(p.out)
	return list(p.talk, given(p.tr.Readers), "", []string{"READ BY", "TOKEN", "IN", "TIME", "AFTER", "SAW"}, func(r control.Read) []string {
		after := "-"
		if r.AfterMS > 0 {
			after = lapse(r.AfterMS)
		}
		return []string{"agent " + p.names.name(r.Agent), p.names.name(r.Credential), p.names.name(r.Inbox), instant(r.Time), after, strings.Join(r.Class, ", ")}
	})
}

func (p tracePage) sequels() error {
	if len(p.tr.Sequels) == 0 {
		return nil
	}
	fmt.Fprintln(p.out)
	return list(p.talk, given(p.tr.Sequels), "", []string{"SENT NEXT", "TOKEN", "AFTER", "OUTCOME", "MESSAGE-ID", "TO", "REMARKS"}, func(s control.Sequel) []string {
		var notes []string
		if s.Answers {
			notes = append(notes, "answers it")
		}
		if s.Share > 0 {
			notes = append(notes, fmt.Sprintf("%d %% of its text", s.Share))
		}
		for _, c := range s.Contradictions {
			notes = append(notes, "contradicted: "+c)
		}
		to := strings.Join(s.To[:min(len(s.To), 3)], ", ")
		if n := len(s.To) - 3; n > 0 {
			to += fmt.Sprintf(" and %d more", n)
		}
		return []string{"agent " + p.names.name(s.Agent), p.names.name(s.Credential), lapse(s.AfterMS), strings.TrimSpace(s.Outcome + " " + s.Rule),
			orDash(s.MessageID), orDash(to), orDash(strings.Join(notes, ", "))}
	})
}

func (p tracePage) hashes() error {
	if len(p.tr.Hashes) == 0 {
		return nil
	}
	fmt.Fprintln(p.out)
	return list(p.talk, given(p.tr.Hashes), "", []string{"SHA-256", "", "TIME", "TO"}, func(h control.Hash) []string {
		return []string{h.Step, h.SHA256, instant(h.Time), orDash(strings.TrimSpace(h.To + " " + h.Host))}
	})
}

// told are the facts of events that stand above.
var told = []string{"from", "subject", "sha256", "text", "message_id", "trigger", "trigger_by", "trigger_ref", "origin", "made_with", "run", "source",
	"remark", "contradiction", "answers", "answers_sha256", "reads", "quotes", "share", "millis", "in_reply_to"}

// events writes what happened in the order of time, with the time since the first.
func (p tracePage) events() error {
	fmt.Fprintln(p.out)
	var first time.Time
	return list(p.talk, given(p.tr.Events), "", []string{"SEQ", "TIME", "AFTER", "EVENT", "OUTCOME", "WHO", "TOKEN", "WHERE", "DETAIL"}, func(e control.Event) []string {
		if first.IsZero() {
			first = e.Time
		}
		l := logged{e, p.tr.Names}
		return []string{decimal(int64(e.Seq)), instant(e.Time), lapse(e.Time.Sub(first).Milliseconds()), e.Verb, e.Outcome, l.who(), l.name(e.Actor.Credential), l.about(), l.detail(told...)}
	})
}

// lapse is a duration for people: the two largest units at the most.
func lapse(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}
