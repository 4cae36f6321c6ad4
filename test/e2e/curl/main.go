// Command curl replaces curl in the image of the end-to-end tests, which has no packages of a distribution. It has the
// options that the examples and tests use, with their long names. Another option is added when an example needs it, and
// must behave as that of curl does.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// exitHTTP is curl's exit code for an answer of 400 or above, with --fail.
const exitHTTP = 22

// errHTTP is the error for such an answer.
var errHTTP = errors.New("the requested URL returned an error")

func main() {
	err := run()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "curl:", err)
	if errors.Is(err, errHTTP) {
		os.Exit(exitHTTP)
	}
	os.Exit(1)
}

func run() error {
	_, _ = flag.Bool("silent", false, "no effect"), flag.Bool("show-error", false, "no effect")
	fail := flag.Bool("fail", false, "fail on answers of 400 and above")
	authority := flag.String("cacert", "", "file of certificate authorities")
	insecure := flag.Bool("insecure", false, "accept any certificate of the server")
	certificate, key := flag.String("cert", "", "file of the client's certificate"), flag.String("key", "", "file of its key")
	method := flag.String("request", http.MethodGet, "method")
	data := flag.String("data", "", "body")
	output := flag.String("output", "", "file for the answer")
	code := flag.String("write-out", "", "what to print at the end: %{http_code} is supported")
	retries := flag.Int("retry", 0, "number of retries after transient errors: the first one after a second, then after twice as long")
	refused := flag.Bool("retry-connrefused", false, "also retry if the connection is refused")
	header := http.Header{}
	flag.Func("header", "a header", func(line string) error {
		name, value, _ := strings.Cut(line, ":")
		header.Set(name, strings.TrimSpace(value))
		return nil
	})
	flag.Parse()

	roots := x509.NewCertPool()
	if *authority != "" {
		text, err := os.ReadFile(*authority)
		if err != nil {
			return err
		}
		roots.AppendCertsFromPEM(text)
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: *insecure}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			return err
		}
		// Sent whether or not the server knows its authority.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	ask := func() (*http.Response, error) {
		request, err := http.NewRequest(*method, flag.Arg(0), strings.NewReader(*data)) //nolint:noctx // it ends with the process
		if err != nil {
			return nil, err
		}
		request.Header = header
		return client.Do(request)
	}
	response, err := ask()
	for pause := time.Second; *retries > 0 && isTransient(response, err, *refused); pause *= 2 {
		if err == nil {
			response.Body.Close()
		}
		*retries--
		<-time.After(pause)
		response, err = ask()
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if *fail && response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%w: %d", errHTTP, response.StatusCode)
	}
	to := io.Writer(os.Stdout)
	if *output != "" {
		file, err := os.Create(*output)
		if err != nil {
			return err
		}
		defer file.Close()
		to = file
	}
	if _, err := io.Copy(to, response.Body); err != nil {
		return err
	}
	fmt.Print(strings.ReplaceAll(*code, "%{http_code}", fmt.Sprint(response.StatusCode)))
	return nil
}

// isTransient reports whether curl would retry, curl(1).
func isTransient(response *http.Response, err error, refused bool) bool {
	if err != nil {
		return refused && errors.Is(err, syscall.ECONNREFUSED)
	}
	return slices.Contains([]int{
		http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}, response.StatusCode)
}
