package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// watchEvery is how often somebody looks for what comes to its end in days.
const watchEvery = time.Hour

// watch looks at once and then every hour of the directory's own clock for
// credentials that end soon, and for captured mail that was kept long enough.
func (d *Directory) watch(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for next := d.now(); ; {
		if now := d.now(); !now.Before(next) {
			d.look(ctx)
			next = now.Add(watchEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Directory) look(ctx context.Context) {
	_, warned := d.WarnEnding(ctx)
	_, swept := d.store.SweepCaptured(ctx, d.now().Add(-storage.CaptureAge))
	if err := errors.Join(warned, swept); err != nil && ctx.Err() == nil {
		d.log.Error("the hourly look at credentials and captured mail failed; it is done again", "error", err)
	}
}

// WarnEnding records, once for each, and raises an alert for the credentials that
// come to their end within the time that policy warns before, and have no
// successor. It says how many. // AC-7, AV-5
func (d *Directory) WarnEnding(ctx context.Context) (warned int, err error) {
	orgs, err := d.store.Organizations(ctx)
	for _, org := range orgs {
		for after := uuid.Nil; err == nil; {
			var agents []storage.Agent
			if agents, err = d.store.Agents(ctx, org.ID, after, watchPage); err != nil || len(agents) == 0 {
				break
			}
			for i := range agents {
				n, failed := d.warnAgent(ctx, &agents[i])
				warned, err = warned+n, errors.Join(err, failed)
			}
			after = agents[len(agents)-1].ID
		}
	}
	return warned, err
}

// watchPage is how many agents one short read takes.
const watchPage = 500

func (d *Directory) warnAgent(ctx context.Context, a *storage.Agent) (warned int, err error) {
	if a.State != storage.AgentActive {
		return 0, nil
	}
	all, err := d.store.Credentials(ctx, a.Org, a.ID)
	if err != nil {
		return 0, err
	}
	for i := range all {
		c := &all[i]
		if !c.Revoked.IsZero() || c.Successor != zeroID || !c.Warned.IsZero() {
			continue
		}
		terms, err := d.Terms(ctx, c)
		if err != nil {
			return warned, err
		}
		now, end := d.now(), terms.End(c)
		// One that lives for hours is not near its end when it is made.
		ahead := min(terms.Warning, end.Sub(c.Created)/2)
		if terms.lapse(c, now) != "" || end.Sub(now) > ahead {
			continue
		}
		if err := d.warn(ctx, *c, end); err != nil {
			return warned, err
		}
		warned++
	}
	return warned, nil
}

// warn marks a credential as one that somebody was told of.
func (d *Directory) warn(ctx context.Context, c storage.Credential, end time.Time) error {
	err := d.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		c := c
		c.Warned = tx.Now()
		e := tx.Record(audit.Event{Verb: audit.CredentialEnding, Outcome: audit.OK,
			Fields: audit.Fields{audit.Word(audit.KeyKeyID, c.PublicID), audit.Time(audit.KeyExpires, end)}})
		if err := tx.UpdateCredential(e, &c); err != nil {
			return err
		}
		return tx.RaiseAlert(storage.Alert{
			Head: storage.Head{Org: c.Org}, Kind: storage.AlertCredentialExpiring, Agent: c.Agent, Credential: c.ID,
			Detail: fmt.Sprintf("Token %s ends at %s and has no successor: postern credential rotate %s", c.PublicID, instant(end), c.PublicID),
		})
	})
	if errors.Is(err, storage.ErrConflict) {
		return nil // somebody is at it: rotated or revoked, or next time
	}
	return err
}
