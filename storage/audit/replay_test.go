package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// history is a log that writes itself.
type history struct{ events []*Event }

func (h *history) add(e Event) {
	e.Seq = uint64(len(h.events))
	h.events = append(h.events, &e)
}

func (h *history) replay() *Replay {
	r := NewReplay()
	for _, e := range h.events {
		r.Add(e)
	}
	return r
}

func differences(r *Replay) string {
	var all []string
	for _, d := range r.Differences() {
		all = append(all, d.String())
	}
	return strings.Join(all, "\n")
}

func aHistory() (h *history, inbox, archive uuid.UUID) {
	h, inbox, archive = &history{}, testID("mailbox", 1), testID("mailbox", 2)
	h.add(Event{Verb: CredentialCreate, Writes: []Write{{"credential", []byte("c1"), 1, [32]byte{1}}, {"mailbox", inbox[:], 1, [32]byte{2}}}})
	for uid := 1; uid <= 10; uid++ {
		h.add(Event{Verb: MessageReceived, Mailbox: inbox, Fields: Fields{Int(KeyUID, uid)}})
	}
	h.add(Event{Verb: MessageRead, Mailbox: inbox, Fields: Fields{Set(KeyUIDs, UIDsOf(1, 2))}})
	h.add(Event{Verb: MessageFlagged, Mailbox: inbox, Fields: Fields{Set(KeyUIDs, UIDsOf(1, 2))}})
	h.add(Event{Verb: MessageMoved, Mailbox: inbox, Fields: Fields{
		Set(KeyUIDs, UIDsOf(3, 4, 5)), ID(KeyToMailbox, archive), Set(KeyToUIDs, UIDsOf(1, 2, 3))}})
	h.add(Event{Verb: MessageCopied, Mailbox: inbox, Fields: Fields{
		Set(KeyUIDs, UIDsOf(6)), ID(KeyToMailbox, archive), Set(KeyToUIDs, UIDsOf(4))}})
	h.add(Event{Verb: MessageExpunged, Mailbox: inbox, Fields: Fields{Set(KeyUIDs, UIDsOf(7, 8))}})
	h.add(Event{Verb: MessageAppended, Mailbox: inbox, Fields: Fields{Int(KeyUID, 11)}})
	h.add(Event{Verb: CredentialRevoke, Writes: []Write{{"credential", []byte("c1"), 2, [32]byte{3}}}})
	return h, inbox, archive
}

func TestReplay(t *testing.T) {
	for name, c := range map[string]struct {
		inbox, archive string
		version        uint64
		digest         byte
		more           func(r *Replay)
		want           string
	}{
		"as recorded": {"1:2,6,9:11", "1:4", 2, 3, nil, ""},
		"a revoked credential made live": {"1:2,6,9:11", "1:4", 1, 1, nil,
			"credential c1: the row has version 1, and version 2 was written (event 17)"},
		"an expiry moved": {"1:2,6,9:11", "1:4", 2, 9, nil, "credential c1: the record is not the one that was written (event 17)"},
		"a row added": {"1:2,6,9:11", "1:4", 2, 3, func(r *Replay) { r.Row("scope", []byte{1, 2}, 1, [32]byte{1}) },
			"scope 0102: no event wrote the row, or a later one deleted it"},
		"a message gone": {"1:2,6,9,11", "1:4", 2, 3, nil,
			"messages of mailbox INBOX: the log has UIDs that are gone: 10 (event 16)"},
		"a message added": {"1:2,6,9:11", "1:5", 2, 3, nil,
			"messages of mailbox ARCHIVE: no event stored UIDs 5 (event 14)"},
		"an unknown mailbox": {"1:2,6,9:11", "1:4", 2, 3, func(r *Replay) { r.Messages(testID("mailbox", 3), UIDsOf(1)) },
			"messages of mailbox OTHER: no event stored UIDs 1"},
	} {
		h, inbox, archive := aHistory()
		r := h.replay()
		r.Row("credential", []byte("c1"), c.version, [32]byte{c.digest})
		r.Row("mailbox", inbox[:], 1, [32]byte{2})
		for id, text := range map[uuid.UUID]string{inbox: c.inbox, archive: c.archive} {
			uids, err := ParseUIDs(text)
			if err != nil {
				t.Fatal(err)
			}
			r.Messages(id, uids)
		}
		if c.more != nil {
			c.more(r)
		}
		names := strings.NewReplacer(inbox.String(), "INBOX", archive.String(), "ARCHIVE", testID("mailbox", 3).String(), "OTHER")
		if got := names.Replace(differences(r)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestReplayOfRowsNeverShown(t *testing.T) {
	h, inbox, archive := aHistory()
	got := differences(h.replay())
	for _, want := range []string{
		"credential c1: the row is gone (event 17)",
		"mailbox " + inbox.String() + ": the row is gone (event 0)",
		"messages of mailbox " + archive.String() + ": the log has UIDs that are gone: 1:4 (event 14)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	h.add(Event{Verb: CredentialRevoke, Writes: []Write{{"credential", []byte("c1"), 3, [32]byte{}}}})
	h.add(Event{Verb: MailboxDelete, Mailbox: archive})
	h.add(Event{Verb: InboxRemove, Writes: []Write{{"mailbox", inbox[:], 2, [32]byte{}}}})
	if got := differences(h.replay()); got != "" {
		t.Errorf("after all was deleted:\n%s", got)
	}
}

// TestReplayOfWhatChangesNothing: events that name messages because somebody saw or
// judged them leave them where they are.
func TestReplayOfWhatChangesNothing(t *testing.T) {
	for _, verb := range []Verb{MessageRead, MessageSearched, MessageFlagged, MessageTraced, MessageRendered, MessageListed} {
		h, inbox, archive := aHistory()
		h.add(Event{Verb: verb, Mailbox: inbox, Fields: Fields{Set(KeyUIDs, UIDsOf(1, 2, 6))}})
		r := h.replay()
		r.Messages(inbox, UIDsOf(1, 2, 6, 9, 10, 11))
		r.Messages(archive, UIDsOf(1, 2, 3, 4))
		if got := differences(r); strings.Contains(got, "messages") {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestReplayOfALogThatContradictsItself(t *testing.T) {
	h, inbox, _ := aHistory()
	h.add(Event{Verb: MessageReceived, Mailbox: inbox, Fields: Fields{Int(KeyUID, 5)}})
	h.add(Event{Verb: MessageExpunged, Mailbox: inbox, Fields: Fields{Set(KeyUIDs, UIDsOf(99))}})
	h.add(Event{Verb: CredentialRevoke, Writes: []Write{{"credential", []byte("c1"), 1, [32]byte{3}}}})
	h.events = slices.Delete(h.events, 11, 12)
	got := differences(h.replay())
	for _, want := range []string{
		"event: missing from the log (event 11)",
		"UID 5 was given again after 11 (event 18)",
		"UIDs were removed that were not there: 99 (event 19)",
		"credential c1: version 1 was written after version 2 (event 20)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestReplayIsBounded(t *testing.T) {
	r := NewReplay()
	for i := range 3 * MaxDifferences {
		r.Row("agent", fmt.Append(nil, i), 1, [32]byte{1})
	}
	if n := len(r.Differences()); n != MaxDifferences {
		t.Errorf("%d differences", n)
	}
}

func BenchmarkReplayAdd(b *testing.B) {
	r := NewReplay()
	mailbox, n := testID("mailbox", 1), 0
	e := &Event{Verb: MessageReceived, Mailbox: mailbox, Writes: []Write{{"outgoing", make([]byte, 16), 1, [32]byte{1}}}}
	b.ReportAllocs()
	for b.Loop() {
		n++
		e.Seq, e.Fields = uint64(n-1), Fields{Int(KeyUID, n)}
		e.Writes[0].ID[n%16] = byte(n)
		r.Add(e)
	}
}
