package panel

import (
	"iter"
	"net/url"

	"github.com/google/uuid"

	"postern/server/control"
)

// pageRows is how many rows of a list a page shows.
const pageRows = 100

// paged reads the rows of one page of a list, and where the next page is: "" after the
// last. The address of a page holds the filter and the row after which it begins.
func paged[T any](v *visit, path string, filter url.Values, id func(*T) uuid.UUID, rows func(control.Page) iter.Seq2[T, error]) (all []T, next string, err error) {
	after, _ := uuid.Parse(v.r.FormValue("after"))
	all, err = collect(rows(control.Page{After: after, Limit: pageRows + 1}))
	if err != nil || len(all) <= pageRows {
		return all, "", err
	}
	all = all[:pageRows]
	query := url.Values{"after": {id(&all[pageRows-1]).String()}}
	for key, values := range filter {
		if len(values) > 0 && values[0] != "" {
			query[key] = values
		}
	}
	return all, path + "?" + query.Encode(), nil
}

// here is the query of a page of a list, for forms that come back to it.
func (v *visit) here() string {
	if after, err := uuid.Parse(v.r.FormValue("after")); err == nil {
		return "?after=" + after.String()
	}
	return ""
}
