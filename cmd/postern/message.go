package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/server/message"
)

func messageCommand(t *talk) *cobra.Command {
	return noun("message", "What happened to a message", messageTrace(t))
}

func messageTrace(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "trace MESSAGE-ID", Short: "Show who, what, when and why of a message on one page", Args: exactly("MESSAGE-ID"),
		Long: `Show who, what, when and why of a message on one page: how it came or was submitted, each
attempt to hand it on, where it was stored, and which token read, flagged, moved or removed
it there. That somebody looked is an event itself.`,
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

// trace writes the page.
func (t *talk) trace(tr *control.Trace) error {
	pairs := []pair{{"Message-ID", tr.MessageID}, {"Subject", message.DecodeWords(tr.Subject)}, {"From", tr.From}, {"Verdict", tr.Verdict}}
	for i, sum := range tr.SHA256 {
		pairs = append(pairs, pair{[]string{"SHA-256", "stored"}[min(i, 1)], sum})
	}
	for _, d := range tr.Declared {
		pairs = append(pairs, pair{"declared", d})
	}
	if err := t.show(nil, pairs...); err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	err := list(t, given(tr.Recipients), "It names no recipients.", []string{"RECIPIENT", "OUTCOME", "TIME", "REPLY", "TLS"},
		func(r control.Recipient) []string {
			return []string{r.Address, r.Outcome, instant(r.Time), orDash(strings.TrimSpace(strings.TrimPrefix(code(int(r.Code)), "-") + " " + r.Enhanced)), orDash(r.TLS)}
		})
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	shown := []string{"from", "subject", "sha256", "text"} // above
	if len(tr.SHA256) == 0 {
		shown = nil
	}
	shown = append(shown, "message_id")
	err = list(t, given(tr.Events), "", []string{"SEQ", "TIME", "EVENT", "OUTCOME", "WHO", "TOKEN", "WHERE", "DETAIL"}, func(e control.Event) []string {
		l := logged{e, tr.Names}
		return []string{decimal(int64(e.Seq)), instant(e.Time), e.Verb, e.Outcome, l.who(), l.name(e.Actor.Credential), l.about(), l.detail(shown...)}
	})
	if tr.Truncated {
		t.say("There is more than one page holds: postern audit list --message-id has it all.")
	}
	return err
}
