package controller

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Bounds of the pages in which informers list objects, if the API server can't stream them
// (WatchList). The number of objects follows from the size of the page before.
const (
	listPageFirst = 4
	listPageMax   = 64
	listPageBytes = 1 << 20
)

// listWatcher is the part of a typed client that lists and watches.
type listWatcher[L runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// newInformer returns an informer of the objects that a selector selects. client is the one that the client of the
// objects belongs to.
func newInformer[L runtime.Object](client any, objects listWatcher[L], example runtime.Object, selector string,
	transform cache.TransformFunc,
) cache.SharedIndexInformer {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
			return listTrimmed(ctx, objects, selector, transform)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = selector
			return objects.Watch(ctx, options)
		},
	}
	return cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, client), example,
		cache.SharedIndexInformerOptions{Indexers: cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}})
}

// kubeInformer returns the constructor of an informer for a factory.
func kubeInformer[L runtime.Object](objects listWatcher[L], example runtime.Object, selector string,
	transform cache.TransformFunc,
) func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
	return func(client kubernetes.Interface, _ time.Duration) cache.SharedIndexInformer {
		return newInformer(client, objects, example, selector, transform)
	}
}

// listTrimmed lists objects page by page and transforms each page before it reads the next one:
// a whole list, before it is trimmed, takes many times the memory of the cache. The pages
// are those of one resource version. That of the cache of the API server has no pages.
func listTrimmed[L runtime.Object](ctx context.Context, objects listWatcher[L], selector string,
	transform cache.TransformFunc,
) (runtime.Object, error) {
	all := &metav1.List{}
	options := metav1.ListOptions{LabelSelector: selector, Limit: listPageFirst}
	for {
		page, err := objects.List(ctx, options)
		if err != nil {
			return nil, err // as it is: an informer handles some
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return nil, fmt.Errorf("reading a list: %w", err)
		}
		size, count := 0, 0
		err = meta.EachListItem(page, func(item runtime.Object) error {
			count++
			if sized, ok := item.(interface{ Size() int }); ok {
				size += sized.Size()
			}
			trimmed, err := transform(item)
			if kept, ok := trimmed.(runtime.Object); ok {
				all.Items = append(all.Items, runtime.RawExtension{Object: kept})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading a page of a list: %w", err)
		}
		all.ResourceVersion = list.GetResourceVersion()
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return all, nil
		}
		options.Limit = nextPage(options.Limit, count, size)
	}
}

// nextPage returns the number of objects of the page after one with a number of objects of
// some bytes.
func nextPage(limit int64, count, size int) int64 {
	next := 4 * limit
	if count > 0 && size > 0 {
		next = min(next, int64(count)*listPageBytes/int64(size))
	}
	return max(1, min(next, listPageMax))
}
