package control

import (
	"context"

	"postern/storage"
	"postern/storage/audit"
)

// TLS is what protected a connection to a server outside, or why nothing did.
type TLS struct {
	TLS     string `json:"tls,omitempty"`         // version; empty in clear
	Policy  string `json:"tls_policy,omitempty"`  // what the destination publishes: none, sts, tlsa
	Proof   string `json:"tls_proof,omitempty"`   // what authenticated the host: none, pkix, sts, dane
	Failure string `json:"tls_failure,omitempty"` // what was wrong, in the words of RFC 8460, section 4.3
	Demand  string `json:"tls_demand,omitempty"`  // what forbids anything less: requiretls, policy, sts, dane, smarthost
}

// tlsOf is what an event says of it.
func tlsOf(e *audit.Event) TLS {
	return TLS{TLS: e.Fields.Text(audit.KeyTLS), Policy: e.Fields.Text(audit.KeyTLSPolicy), Proof: e.Fields.Text(audit.KeyTLSProof),
		Failure: e.Fields.Text(audit.KeyTLSFailure), Demand: e.Fields.Text(audit.KeyTLSDemand)}
}

// lastTries is how many attempts of a message are looked at for the last one of a
// recipient: more than a schedule has, of all that share a destination.
const lastTries = 200

// lastTLS is what the last attempt for a row of the queue used.
func (s *Server) lastTLS(ctx context.Context, o *storage.Outgoing) (TLS, error) {
	events, err := s.Store.Events(ctx, storage.EventQuery{
		Org: o.Org, Object: o.Message, Verbs: []audit.Verb{audit.QueueAttempt}, Newest: true, Limit: lastTries})
	if err != nil {
		return TLS{}, err
	}
	for i := range events {
		if row, ok := events[i].Fields.ID(audit.KeyOutgoing); ok && row == o.ID {
			return tlsOf(&events[i]), nil
		}
	}
	return TLS{}, nil
}
