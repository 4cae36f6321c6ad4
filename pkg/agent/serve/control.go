package serve

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// maxRequest limits the body of a request, in bytes.
const maxRequest = 4 << 10

// controlHandler serves the controller, which has authenticated itself with its certificate.
func controlHandler(broker *conn, o Options) http.Handler {
	turn := make(chan struct{}, 1) // one request at a time
	var ages drainAges             // used by the request that has the turn
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+control.PathDrain, nodeDrainHandler(broker, turn, &ages, o.Ranks))
	mux.HandleFunc("POST "+control.PathQuorum, func(w http.ResponseWriter, r *http.Request) {
		var in control.Quorum
		if !decode(w, r, &in) {
			return
		}
		if in.Quorum < 1 || in.Quorum > math.MaxInt32 {
			answer(w, http.StatusBadRequest, "quorum must be at least 1")
			return
		}
		if o.LowerQuorum != nil {
			o.LowerQuorum(int32(in.Quorum))
		}
		respond(w, r, struct{}{})
	})
	mux.HandleFunc("POST "+control.PathResize, func(w http.ResponseWriter, r *http.Request) {
		var in control.Resize
		if !decode(w, r, &in) {
			return
		}
		if in.Size < 1 {
			answer(w, http.StatusBadRequest, "size must be at least 1")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), control.Timeout)
		defer cancel()
		state, err := takeTurn(ctx, turn, func() (control.State, error) {
			client, err := broker.client(ctx)
			if err != nil {
				return control.State{}, err
			}
			return resize(ctx, client, &ages, o.Ranks, in.Size, time.Now())
		})
		if err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		if !state.Drained.Empty() || !state.Returned.Empty() {
			klog.FromContext(ctx).Info("Drained ranks for a change of size", "size", in.Size, "drained", state.Drained.String(),
				"returned", state.Returned.String(), "busy", state.Busy.String())
		}
		respond(w, r, state)
	})
	mux.HandleFunc("POST "+control.PathHibernate, handleHibernate(broker, o, turn))
	return mux
}

// decode reads a request. It answers one that is malformed, and returns false.
func decode(w http.ResponseWriter, r *http.Request, in any) bool {
	return decodeUpTo(w, r, in, maxRequest)
}

// decodeUpTo is like decode, with another limit of the body.
func decodeUpTo(w http.ResponseWriter, r *http.Request, in any, limit int64) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(in)
	if err != nil {
		answer(w, http.StatusBadRequest, "the request is not valid JSON: "+err.Error())
	}
	return err == nil
}

func respond(w http.ResponseWriter, r *http.Request, out any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(out); err != nil {
		klog.FromContext(r.Context()).V(1).Info("The controller closed the connection", "reason", err.Error())
	}
}

func takeTurn[T any](ctx context.Context, turn chan struct{}, f func() (T, error)) (T, error) {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
		return f()
	case <-ctx.Done():
		var none T
		return none, errors.New("another request is in progress")
	}
}
