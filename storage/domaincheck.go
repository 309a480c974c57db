package storage

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// DomainCheck is what the last check of a domain's records in the DNS found. Its
// ID is the domain's. What a check finds unchanged changes nothing but when. // AU-11
type DomainCheck struct {
	Head
	Provider string        `json:"provider,omitempty"` // who keeps the zone, where its name servers tell
	Zone     string        `json:"zone,omitempty"`     // the zone that holds the domain's names
	Servers  []string      `json:"servers,omitempty"`  // the names of the servers of that zone
	Signed   bool          `json:"signed"`             // the zone is signed by DNSSEC
	Records  []RecordState `json:"records"`
	Changed  time.Time     `json:"changed"` // when a state changed last

	Silent  []string  `json:"-"` // servers that did not answer this check; not kept
	Checked time.Time `json:"-"` // when it was looked at last
	Due     time.Time `json:"-"` // when it is looked at next
}

// RecordState is where one record of a domain's plan stands.
type RecordState struct {
	Group    string    `json:"group"` // receive, send, trust, optional
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Purpose  string    `json:"purpose"`
	Required bool      `json:"required,omitempty"`
	Expected string    `json:"expected"`
	State    string    `json:"state"` // ok, missing, wrong, conflict, propagating, optional, unknown
	Found    []string  `json:"found,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	Since    time.Time `json:"since"`            // when it came to be so
	Worked   bool      `json:"worked,omitempty"` // it was right since it was last found to be broken
}

// PutDomainCheck writes what a check found that is new: a first one, with Version
// zero, or the one that was read before; ErrConflict when somebody else wrote it in
// between, or the domain is gone.
func (tx *Tx) PutDomainCheck(e *audit.Event, c *DomainCheck) error {
	was := c.Version
	c.Checked, c.Changed = tx.now, tx.now
	sealed, err := tx.sealRecord(e, "domain_check", c)
	if err != nil {
		return err
	}
	e.Org, e.Object = c.Org, c.ID
	if was == 0 {
		n, err := tx.execN(`INSERT INTO domain_check (id, org, version, event, due, checked, sealed)
			SELECT id, org, $1, $2, $3, $4, $5 FROM domain WHERE id = $6 AND org = $7`,
			c.Version, c.Event[:], micros(c.Due), micros(c.Checked), sealed, c.ID[:], c.Org[:])
		return changed(n, err)
	}
	n, err := tx.execN("UPDATE domain_check SET version = $1, event = $2, due = $3, checked = $4, sealed = $5 WHERE id = $6 AND version = $7",
		c.Version, c.Event[:], micros(c.Due), micros(c.Checked), sealed, c.ID[:], was)
	return changed(n, err)
}

// DomainChecked notes that a check found nothing new, and when the next one is due.
func (u *Upkeep) DomainChecked(domain uuid.UUID, due time.Time) error {
	return u.tx.exec("UPDATE domain_check SET checked = $1, due = $2 WHERE id = $3", micros(u.tx.now), micros(due), domain[:])
}

// dropDomainCheck deletes what is known of a domain that ends.
func (tx *Tx) dropDomainCheck(e *audit.Event, domain uuid.UUID) error {
	row, err := scanHead(tx.row("SELECT "+headColumns+" FROM domain_check WHERE id = $1", domain[:]))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	tx.forget(e, "domain_check", &DomainCheck{Head: row.head})
	return tx.exec("DELETE FROM domain_check WHERE id = $1", domain[:])
}

// DomainCheck is what the last check of a domain found; ErrNotFound before the
// first.
func (s *Store) DomainCheck(ctx context.Context, org, domain uuid.UUID) (c DomainCheck, err error) {
	var row sealedRow
	var due, checked int64
	err = s.look(ctx, func(r *reads) (err error) {
		row, err = scanHead(r.row("SELECT "+headColumns+", due, checked FROM domain_check WHERE org = $1 AND id = $2", org[:], domain[:]), &due, &checked)
		return err
	})
	if err != nil {
		return c, err
	}
	err = s.openRecord(ctx, "domain_check", row, &c)
	c.Due, c.Checked = fromMicros(due), fromMicros(checked)
	return c, err
}

// DomainsDue lists the domains of every organization that are to be checked by
// now, those that never were first, and when the next one is; zero when there is
// none.
func (s *Store) DomainsDue(ctx context.Context, now time.Time, limit int) (due []Head, next time.Time, err error) {
	err = s.read(ctx, func(r *reads) error {
		rows, err := r.rows(`SELECT d.id, d.org, COALESCE(c.due, 0) AS at FROM domain d LEFT JOIN domain_check c ON c.id = d.id
			ORDER BY at, d.id LIMIT $1`, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var h Head
			var at int64
			if err := rows.Scan(&h.ID, &h.Org, &at); err != nil {
				return classify(err)
			}
			if at > micros(now) || len(due) == limit {
				next = fromMicros(at)
				break
			}
			due = append(due, h)
		}
		return classify(rows.Err())
	})
	return due, next, err
}

// DomainChallenge is the text that proves that an organization owns a domain,
// when it stands in the DNS. It is the same whenever it is asked for, also before
// the domain is added, and tells nothing.
func (s *Store) DomainChallenge(org uuid.UUID, name string) string {
	hash := s.hashName("domain-challenge", org.String()+" "+name)
	return "postern-" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(hash[:20]))
}

// DomainHolder finds which domain of any organization has a name, and says no
// more of it than whose it is and whether it is owned.
func (tx *Tx) DomainHolder(name string) (Domain, error) {
	row, err := scanHead(tx.row("SELECT "+headColumns+" FROM domain WHERE name_hash = $1", tx.store().hashName("domain", name)))
	if err != nil {
		return Domain{}, err
	}
	var d Domain
	if err := tx.store().openRecord(context.Background(), "domain", row, &d); err != nil {
		return Domain{}, err
	}
	if d.Name != name {
		return Domain{}, fmt.Errorf("%w: domain %s: the index hint points to another record", ErrCorrupt, d.ID)
	}
	return d, nil
}
