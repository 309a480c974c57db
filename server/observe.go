package server

import (
	"context"
	"strings"
	"time"

	"postern/server/delivery"
	"postern/storage"
	"postern/storage/audit"
)

// What is counted follows from the events that commits made durable: nothing that
// failed counts, no room has to think of it, and no two disagree about it.

// observer counts what the store makes durable.
func (s *Server) observer() storage.Observer {
	return storage.Observer{Event: s.counts, Commit: s.metrics.Committed}
}

// counts counts one event.
func (s *Server) counts(e *audit.Event) {
	m := s.metrics
	rule := e.Fields.Text(audit.KeyRule)
	m.Events.Add(1, outcomeWord(e.Outcome))
	switch e.Verb {
	case audit.MessageReceived, audit.MessageDuplicate:
		s.countsReceived(e)
	case audit.MessageSubmitted:
		result := "accepted"
		if e.Outcome == audit.Held {
			result = "held"
		}
		m.Submitted.Add(1, result)
	case audit.MessageRefused:
		s.countsRefused(e, rule)
	case audit.MessageHeld:
		m.Held.Add(1, rule)
	case audit.ApprovalRelease, audit.ApprovalReject, audit.ApprovalExpire:
		m.Decided.Add(1, decisionWords[e.Verb])
	case audit.QuarantineRelease, audit.QuarantineReject:
		m.Kept.Add(1, decisionWords[e.Verb])
	case audit.QueueDelivered, audit.QueueAttempt, audit.QueueFailed, audit.QueueExpired, audit.QueueBounce:
		m.Deliveries.Add(1, deliveryWords[e.Verb])
	case audit.SessionLogin, audit.SessionRefused:
		m.Logins.Add(1, "agent", outcomeWord(e.Outcome))
	case audit.PersonLogin, audit.PersonRefused:
		m.Logins.Add(1, "person", outcomeWord(e.Outcome))
	case audit.StrangersRefused:
		n, _ := e.Fields.Int(audit.KeyCount)
		m.Strangers.Add(float64(n), strings.ToLower(e.Fields.Text(audit.KeyCommand)), rule)
	case audit.AlertRaise:
		if len(e.Writes) > 0 { // it did not count up
			m.Alerts.Add(1, e.Fields.Text(audit.KeyKind))
		}
	}
}

// decisionWords and deliveryWords say what an event decided.
var (
	decisionWords = map[audit.Verb]string{
		audit.ApprovalRelease: "released", audit.ApprovalReject: "rejected", audit.ApprovalExpire: "expired",
		audit.QuarantineRelease: "released", audit.QuarantineReject: "rejected",
	}
	deliveryWords = map[audit.Verb]string{
		audit.QueueDelivered: "delivered", audit.QueueAttempt: "deferred", audit.QueueFailed: "failed",
		audit.QueueExpired: "expired", audit.QueueBounce: "bounced",
	}
)

func outcomeWord(o audit.Outcome) string { return strings.ToLower(o.String()) }

// countsReceived counts a copy that delivery stored, or knew already. What was put
// away has a record in quarantine, which its event accounts for.
func (s *Server) countsReceived(e *audit.Event) {
	result := "delivered"
	switch {
	case e.Verb == audit.MessageDuplicate:
		result = "duplicate"
	default:
		for _, w := range e.Writes {
			if w.Table == "quarantine" {
				result = "quarantined"
			}
		}
	}
	s.metrics.Received.Add(1, e.Fields.Text(audit.KeyVerdict), result)
}

// countsRefused counts a message that was refused at the port for other servers, or
// to an agent.
func (s *Server) countsRefused(e *audit.Event, rule string) {
	s.metrics.Refused.Add(1, rule)
	if e.Fields.Text(audit.KeyDoor) == "mx" {
		s.metrics.Received.Add(1, e.Fields.Text(audit.KeyVerdict), "refused")
		return
	}
	s.metrics.Submitted.Add(1, "refused")
}

// timed measures how long judging takes.
func (s *Server) timed(judge delivery.Judge) delivery.Judge {
	return func(ctx context.Context, m delivery.Judged) (delivery.Judgement, error) {
		began := time.Now()
		found, err := judge(ctx, m)
		s.metrics.Scored(time.Since(began))
		return found, err
	}
}
