package storage

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// AlertKind says what somebody should look at. The list is closed: policy names
// kinds that freeze at once, and programs outside are told them.
type AlertKind string

// The kinds.
const (
	AlertTokenLeaked        AlertKind = "token-leaked"         // a token that this server minted stood in a message
	AlertFalseDeclaration   AlertKind = "false-declaration"    // what an agent declared contradicts what was seen
	AlertCredentialExpiring AlertKind = "credential-expiring"  // a credential nears its end and has no successor
	AlertTokenAfterRotation AlertKind = "token-after-rotation" // a token that was rotated out or revoked was tried
	AlertTwoNetworks        AlertKind = "two-networks"         // one credential has sessions from two networks at once
	AlertNewNetwork         AlertKind = "new-network"          // an agent came from where it never came from
	AlertOddHours           AlertKind = "odd-hours"            // an agent came at an hour of the week at which it never did
	AlertSpikeSends         AlertKind = "spike-sends"          // an agent sends far more than it used to
	AlertSpikeForwards      AlertKind = "spike-forwards"       // an agent passes on far more stored content than it used to
	AlertSpikeFirstTime     AlertKind = "spike-first-time"     // an agent writes to far more strangers than it used to
	AlertHoldWaiting        AlertKind = "hold-waiting"         // a message waits for a person, or still does when half of its time is over
	AlertLimitReached       AlertKind = "limit-reached"        // an agent ran into one of its limits
	AlertWebhookDisabled    AlertKind = "webhook-disabled"     // a webhook failed for so long that it is asked no more
	AlertDKIMRecordDue      AlertKind = "dkim-record-due"      // a record of a signing key is to be published by hand
	AlertDomainBroken       AlertKind = "domain-broken"        // a record that a domain needs is not in the DNS as it was
	AlertQuarantined        AlertKind = "mail-quarantined"     // mail to an inbox was put into quarantine
	AlertScorerFailed       AlertKind = "scorer-failed"        // a message could not be judged, and was delivered as unscored

	AlertCertificateExpiring AlertKind = "certificate-expiring" // a name of this server has no certificate for much longer, and none can be had

	// Of the installation. These end by themselves: see [Tx.ResolveAlert].
	AlertDiskLow    AlertKind = "disk-low"    // there is little room where the data is
	AlertClockStep  AlertKind = "clock-step"  // the clock was put forward or back
	AlertQueueStuck AlertKind = "queue-stuck" // mail has waited in the queue for hours
	AlertBackupOld  AlertKind = "backup-old"  // the newest backup is old, or there never was one
)

var alertKinds = []AlertKind{
	AlertTokenLeaked, AlertFalseDeclaration, AlertCredentialExpiring, AlertTokenAfterRotation, AlertTwoNetworks,
	AlertNewNetwork, AlertOddHours, AlertSpikeSends, AlertSpikeForwards, AlertSpikeFirstTime, AlertHoldWaiting,
	AlertLimitReached, AlertWebhookDisabled, AlertDKIMRecordDue, AlertDomainBroken, AlertQuarantined,
	AlertCertificateExpiring, AlertScorerFailed, AlertDiskLow, AlertClockStep, AlertQueueStuck, AlertBackupOld,
}

// AlertKinds returns the closed list.
func AlertKinds() []AlertKind { return slices.Clone(alertKinds) }

// AlertState is where an alert stands.
type AlertState string

// The states. There is no way back: what happens again is another alert.
const (
	AlertOpen         AlertState = "open"
	AlertAcknowledged AlertState = "acknowledged" // a person has seen it
	AlertResolved     AlertState = "resolved"     // what it was about is over; a person may have seen it
)

// Alert is something that somebody should look at. What it says is sealed and
// fixed; how often it happened, and when last, are counters. // PI-7
type Alert struct {
	Head
	Kind       AlertKind  `json:"kind"`
	State      AlertState `json:"state"`
	Agent      uuid.UUID  `json:"agent,omitzero"`
	Credential uuid.UUID  `json:"credential,omitzero"`
	Inbox      uuid.UUID  `json:"inbox,omitzero"`
	Object     uuid.UUID  `json:"object,omitzero"` // what it is about beyond these: a message, a webhook, a session
	Detail     string     `json:"detail"`          // one sentence of Postern's own; never text of a message
	First      time.Time  `json:"first"`

	Reason       string    `json:"reason,omitempty"` // of the acknowledgement, in the words of a person
	By           string    `json:"by,omitempty"`     // who acknowledged
	Acknowledged time.Time `json:"acknowledged,omitzero"`
	Resolved     time.Time `json:"resolved,omitzero"`

	Count int64     `json:"-"` // how often it happened
	Last  time.Time `json:"-"` // when it happened last
}

// alertWindow is how long the same counts up instead of being an alert of its
// own: what repeats all day makes a few alerts, and not thousands.
const alertWindow = time.Hour

// RaiseAlert says that somebody should look at something, and records it
// (alert.raise). Kind and Org are required; Count is how often it happened, zero
// is once. If the same kind is open for the same agent, credential and object
// since less than an hour, that alert counts up, and an event is recorded only
// where the count has doubled: so repeating costs no more than a counter. A
// transaction that does nothing else may therefore have no event; such a caller
// uses [Store.RaiseAlert].
func (tx *Tx) RaiseAlert(a Alert) error {
	if !slices.Contains(alertKinds, a.Kind) || a.Org == uuid.Nil {
		return fmt.Errorf("storage: an alert of kind %q needs a known kind and an organization", a.Kind)
	}
	a.Count = max(a.Count, 1)
	open, err := tx.openAlert(&a)
	switch {
	case err == nil:
		return tx.countAlert(&open, a.Count)
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt): // what was tampered with hides nothing
		return err
	}
	a.State, a.First, a.Last = AlertOpen, tx.now, tx.now
	e := tx.Record(audit.Event{Verb: audit.AlertRaise})
	sealed, err := tx.sealRecord(e, "alert", &a)
	if err != nil {
		return err
	}
	a.name(e)
	return tx.exec(`INSERT INTO alert (id, org, version, event, kind, agent, credential, object, state, first, last, count, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12)`,
		a.ID[:], a.Org[:], a.Version, a.Event[:], string(a.Kind), a.Agent[:], a.Credential[:], a.Object[:],
		string(a.State), micros(a.First), a.Count, sealed)
}

// RaiseAlert is [Tx.RaiseAlert] in a transaction of its own.
func (s *Store) RaiseAlert(ctx context.Context, a Alert) error {
	err := s.Write(ctx, System, func(tx *Tx) error { return tx.RaiseAlert(a) })
	if !errors.Is(err, ErrNoEvent) {
		return err
	}
	return s.Upkeep(ctx, func(u *Upkeep) error { return u.CountAlert(a) })
}

// openAlert finds the alert that the same would count up.
func (tx *Tx) openAlert(a *Alert) (Alert, error) {
	row := tx.row("SELECT "+alertColumns+` FROM alert WHERE org = $1 AND kind = $2 AND agent = $3 AND credential = $4 AND object = $5
		AND first > $6 AND state = $7 ORDER BY first DESC LIMIT 1`,
		a.Org[:], string(a.Kind), a.Agent[:], a.Credential[:], a.Object[:], micros(tx.now.Add(-alertWindow)), string(AlertOpen))
	r, h, err := scanAlert(row)
	if err != nil {
		return Alert{}, err
	}
	return tx.store().openAlertRow(context.Background(), r, h)
}

// countAlert counts an open alert up.
func (tx *Tx) countAlert(a *Alert, more int64) error {
	was := a.Count
	a.Count, a.Last = a.Count+more, tx.now
	if bits.Len64(uint64(a.Count)) > bits.Len64(uint64(was)) {
		a.name(tx.Record(audit.Event{Verb: audit.AlertRaise}))
	}
	return tx.Upkeep().count(a)
}

// CountAlert counts an alert up that is open for the same; where there is none it
// does nothing.
func (u *Upkeep) CountAlert(a Alert) error {
	open, err := u.tx.openAlert(&a)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	open.Count, open.Last = open.Count+max(a.Count, 1), u.tx.now
	return u.count(&open)
}

func (u *Upkeep) count(a *Alert) error {
	return u.tx.exec("UPDATE alert SET count = $1, last = $2 WHERE id = $3", a.Count, micros(a.Last), a.ID[:])
}

// AcknowledgeAlert says that a person has seen an alert that was read before, and
// why it may rest. ErrConflict when somebody else did in between.
func (tx *Tx) AcknowledgeAlert(e *audit.Event, a *Alert, by, reason string) error {
	a.State, a.By, a.Reason, a.Acknowledged = AlertAcknowledged, by, reason, tx.now
	return tx.changeAlert(e, a)
}

// ResolveAlert says of an alert that was read before that what it was about is over,
// whether or not a person has seen it. ErrConflict when somebody changed it in between.
func (tx *Tx) ResolveAlert(e *audit.Event, a *Alert) error {
	a.State, a.Resolved = AlertResolved, tx.now
	return tx.changeAlert(e, a)
}

// changeAlert writes the new state of an alert over the one that was read.
func (tx *Tx) changeAlert(e *audit.Event, a *Alert) error {
	was := a.Version
	sealed, err := tx.sealRecord(e, "alert", a)
	if err != nil {
		return err
	}
	a.name(e)
	n, err := tx.execN("UPDATE alert SET version = $1, event = $2, state = $3, sealed = $4 WHERE id = $5 AND version = $6",
		a.Version, a.Event[:], string(a.State), sealed, a.ID[:], was)
	return changed(n, err)
}

// StandingAlerts are the alerts of a kind, the oldest first, of which nobody has said
// that what they are about is over: those that people have seen are among them.
func (s *Store) StandingAlerts(ctx context.Context, org uuid.UUID, kind AlertKind) ([]Alert, error) {
	return s.alerts(ctx, "org = $1 AND kind = $2 AND state <> $3 ORDER BY id", org[:], string(kind), string(AlertResolved))
}

// name says in an event which alert it is about.
func (a *Alert) name(e *audit.Event) {
	e.Org, e.Agent, e.Credential, e.Object = a.Org, a.Agent, a.Credential, a.ID
	e.Fields = append(e.Fields, audit.Word(audit.KeyKind, string(a.Kind)), audit.Word(audit.KeyState, string(a.State)),
		audit.Int(audit.KeyCount, a.Count), audit.Time(audit.KeyFirst, a.First), audit.Time(audit.KeyLast, a.Last))
	if a.Object != uuid.Nil {
		e.Fields = append(e.Fields, audit.ID(audit.KeyAbout, a.Object))
	}
	if a.Inbox != uuid.Nil {
		e.Fields = append(e.Fields, audit.ID(audit.KeyInbox, a.Inbox))
	}
	e.Personal = append(e.Personal, audit.Text(audit.KeyText, a.Detail))
	if a.Reason != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyNote, a.Reason))
	}
}

// alertHints are the clear columns beside the record.
type alertHints struct {
	kind, state               string
	agent, credential, object uuid.UUID
	first, last, count        int64
}

const alertColumns = headColumns + ", kind, agent, credential, object, state, first, last, count"

func scanAlert(row rowScanner) (sealedRow, alertHints, error) {
	var h alertHints
	r, err := scanHead(row, &h.kind, &h.agent, &h.credential, &h.object, &h.state, &h.first, &h.last, &h.count)
	return r, h, err
}

// openAlertRow opens a row; clear columns that contradict it would hide an alert.
func (s *Store) openAlertRow(ctx context.Context, r sealedRow, h alertHints) (Alert, error) {
	var a Alert
	if err := s.openRecord(ctx, "alert", r, &a); err != nil {
		return Alert{}, err
	}
	if string(a.Kind) != h.kind || string(a.State) != h.state || a.Agent != h.agent || a.Credential != h.credential ||
		a.Object != h.object || micros(a.First) != h.first {
		return Alert{}, fmt.Errorf("%w: alert %s: clear columns contradict the record", ErrCorrupt, a.ID)
	}
	a.Count, a.Last = h.count, fromMicros(h.last)
	return a, nil
}

// Alert finds an alert of an organization.
func (s *Store) Alert(ctx context.Context, org, id uuid.UUID) (Alert, error) {
	all, err := s.alerts(ctx, "org = $1 AND id = $2", org[:], id[:])
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Alert{}, err
	}
	return all[0], nil
}

// Alerted reports whether there ever was an alert of this kind about the same
// agent, credential and object.
func (s *Store) Alerted(ctx context.Context, a *Alert) (bool, error) {
	all, err := s.alerts(ctx, "org = $1 AND kind = $2 AND agent = $3 AND credential = $4 AND object = $5 LIMIT 1",
		a.Org[:], string(a.Kind), a.Agent[:], a.Credential[:], a.Object[:])
	return len(all) > 0, err
}

// Alerts lists an organization's alerts after an id, the oldest first, at most
// limit of them; with open only those that nobody has acknowledged.
func (s *Store) Alerts(ctx context.Context, org, after uuid.UUID, limit int, open bool) ([]Alert, error) {
	if open {
		return s.alerts(ctx, "org = $1 AND id > $2 AND state = $3 ORDER BY id LIMIT $4", org[:], after[:], string(AlertOpen), limit)
	}
	return s.alerts(ctx, "org = $1"+page, org[:], after[:], limit)
}

// LastAlerts are the open alerts of an organization that began last, the newest first.
func (s *Store) LastAlerts(ctx context.Context, org uuid.UUID, limit int) ([]Alert, error) {
	return s.alerts(ctx, "org = $1 AND state = $2 ORDER BY id DESC LIMIT $3", org[:], string(AlertOpen), limit)
}

func (s *Store) alerts(ctx context.Context, where string, args ...any) ([]Alert, error) {
	var sealed []sealedRow
	var hints []alertHints
	err := s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+alertColumns+" FROM alert WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			row, h, err := scanAlert(rows)
			if err != nil {
				return err
			}
			sealed, hints = append(sealed, row), append(hints, h)
		}
		return classify(rows.Err())
	})
	if err != nil {
		return nil, err
	}
	all := make([]Alert, len(sealed))
	for i := range sealed {
		if all[i], err = s.openAlertRow(ctx, sealed[i], hints[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// OpenAlerts counts the alerts of an organization that nobody has acknowledged. It goes
// by clear columns: a hint for those who then look.
func (s *Store) OpenAlerts(ctx context.Context, org uuid.UUID) (n int64, err error) {
	err = s.look(ctx, func(r *reads) error {
		return classify(r.row("SELECT COUNT(*) FROM alert WHERE org = $1 AND state = $2", org[:], string(AlertOpen)).Scan(&n))
	})
	return n, err
}
