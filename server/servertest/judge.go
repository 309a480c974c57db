package servertest

import (
	"context"

	"postern/server/delivery"
	"postern/server/message"
	"postern/storage"
)

// Marked is a Judge for tests: the verdict is what the message's own field
// X-Test-Verdict says. Without one the message is unscored.
func Marked(_ context.Context, m delivery.Judged) delivery.Judgement {
	header, err := message.ReadHeader(m.Body, m.Structure)
	if err != nil {
		return delivery.Judgement{Verdict: storage.Partial}
	}
	word, _ := message.Lookup(header, "x-test-verdict")
	for _, v := range []storage.Verdict{storage.Clean, storage.Suspicious, storage.Quarantine, storage.Partial} {
		if j := (delivery.Judgement{Verdict: v, Model: "marked"}); j.Word() == word {
			return j
		}
	}
	return delivery.Judgement{}
}
