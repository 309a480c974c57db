package delivery

import (
	"context"

	"postern/server/queue"
	"postern/storage"
	"postern/storage/audit"
)

// Report prepares a notice of the queue for the inbox that it concerns. What it
// returns is stored in the queue's own transaction, with the null return path:
// a notice is never answered by a notice (RFC 5321, section 4.5.5).
func (in *Inbound) Report(ctx context.Context, n queue.Notice) (queue.Report, error) {
	record, err := in.store.InboxRecord(ctx, n.Org, n.Inbox)
	if err != nil {
		return queue.Report{}, err
	}
	stage := in.store.Stage()
	if _, err := stage.Write(n.Data); err != nil {
		stage.Discard()
		return queue.Report{}, err
	}
	if err := stage.Finish(); err != nil {
		stage.Discard()
		return queue.Report{}, err
	}
	r := &Received{Actor: storage.System, Door: "queue", To: []Recipient{{Path: n.To, Inbox: record}}, notice: about(n)}
	m, err := in.prepare(ctx, r, stageSource(stage), storage.OriginReport)
	if err != nil {
		stage.Discard()
		return queue.Report{}, err
	}
	m.verb = audit.NoticeDelivered
	return queue.Report{Store: m.store, Discard: stage.Discard}, nil
}

// about is the field by which a program knows a notice of a decision. Of mail from
// elsewhere no view shows such a field.
func about(n queue.Notice) string {
	if n.Decision == 0 {
		return ""
	}
	return "v=1; event=" + n.Decision.String() + "; id=" + n.Message.String()
}
