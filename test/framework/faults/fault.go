package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fault modifies a request. Next sends it to the server.
type Fault func(next http.RoundTripper, r *http.Request) (*http.Response, error)

// lostError is the error of a client whose connection breaks.
func lostError(when string) error {
	return fmt.Errorf("injected fault, %s: %w", when, syscall.ECONNRESET)
}

// errDead ends the requests of a client that is dead. It does not look like a broken connection: client-go would
// retry reads for ten seconds.
var errDead = errors.New("injected fault: the client is dead")

// Fail breaks the connection before the server gets the request.
func Fail() Fault {
	return func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		closeBody(r)
		return nil, lostError("before the request")
	}
}

// LoseResponse breaks the connection after the server has executed the request.
func LoseResponse() Fault {
	return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		if err := discard(next.RoundTrip(r)); err != nil {
			return nil, err
		}
		return nil, lostError("after the request")
	}
}

// Duplicate sends a request twice; the client gets the second answer.
func Duplicate() Fault {
	return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			var err error
			if body, err = io.ReadAll(r.Body); err != nil {
				return nil, fmt.Errorf("reading the request: %w", err)
			}
			closeBody(r)
		}
		again := func() *http.Request {
			copied := r.Clone(r.Context())
			if r.Body != nil {
				copied.Body = io.NopCloser(bytes.NewReader(body))
			}
			return copied
		}
		if err := discard(next.RoundTrip(again())); err != nil {
			return nil, err
		}
		return next.RoundTrip(again())
	}
}

// Delay sends a request after a time.
func Delay(d time.Duration) Fault {
	return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return next.RoundTrip(r)
		case <-r.Context().Done():
			closeBody(r)
			return nil, r.Context().Err()
		}
	}
}

// Hold sends a request once a channel is closed.
func Hold(until <-chan struct{}) Fault {
	return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		select {
		case <-until:
			return next.RoundTrip(r)
		case <-r.Context().Done():
			closeBody(r)
			return nil, r.Context().Err()
		}
	}
}

// Answer responds instead of the server, which never gets the request.
func Answer(code int, reason metav1.StatusReason, message string) Fault {
	return answer(code, reason, func() string { return message }, 0)
}

// AnswerWith is Answer with a message that is created for each request.
func AnswerWith(code int, reason metav1.StatusReason, message func() string) Fault {
	return answer(code, reason, message, 0)
}

// Conflict is the answer to a write that is based on an old version.
func Conflict() Fault {
	return Answer(http.StatusConflict, metav1.StatusReasonConflict, "injected fault: the object has been modified")
}

// TooManyRequests is the answer of a server that is busy for some seconds.
func TooManyRequests(retryAfterSeconds int) Fault {
	return answer(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests,
		func() string { return "injected fault: too many requests" }, retryAfterSeconds)
}

// Gone is the answer to a watch from a version that the server has forgotten.
func Gone() Fault {
	return Answer(http.StatusGone, metav1.StatusReasonExpired, "injected fault: too old resource version")
}

func answer(code int, reason metav1.StatusReason, message func() string, retryAfterSeconds int) Fault {
	return func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		closeBody(r)
		status := metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message(),
		}
		header := http.Header{"Content-Type": {"application/json"}}
		if retryAfterSeconds > 0 {
			status.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(retryAfterSeconds)}
			header.Set("Retry-After", strconv.Itoa(retryAfterSeconds))
		}
		text, err := json.Marshal(status)
		if err != nil {
			return nil, fmt.Errorf("encoding an injected answer: %w", err)
		}
		return &http.Response{
			StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)),
			Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
			Header: header, Body: io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)), Request: r,
		}, nil
	}
}

// discard reads a response to its end, so that the server has completed the request.
func discard(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // required of a RoundTripper; the result does not matter
	}
}
