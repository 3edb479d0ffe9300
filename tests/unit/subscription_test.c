// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "event/subscription.h"

// Two subscribers: a hears of types 0 and 1, b of type 1.

static struct subscriptions all;
static struct subscription a, b;
static int n_woken;

static void wake(void *arg)
{
	(*(int *)arg)++;
}

static int setup(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	n_woken = 0;
	subscription_open(&all, &a, wake, &n_woken);
	subscription_open(&all, &b, wake, &n_woken);
	assert_true(subscription_set(&a, 3));
	assert_true(subscription_set(&b, 2));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	subscription_close(&a);
	subscription_close(&b);
	assert_true(LIST_EMPTY(&all.all));
	return 0;
}

static bool tell(unsigned type, const char *text)
{
	return subscriptions_want(&all, type) && subscriptions_tell(&all, type, text, strlen(text));
}

static void expect(struct subscription *subscription, const char *text)
{
	size_t len;
	const char *lines = subscription_peek(subscription, SIZE_MAX, &len);
	assert_int_equal(len, strlen(text));
	if (len > 0)
		assert_memory_equal(lines, text, len);
	subscription_drop(subscription, len);
}

static void tells_who_asked_in_order(void **state)
{
	(void)state;
	assert_true(tell(0, "{{first"));
	assert_true(tell(1, "{{second"));
	assert_false(tell(2, "{{nobody's"));
	expect(&a, "{{first}}\n{{second}}\n");
	expect(&b, "{{second}}\n");
	expect(&a, "");
}

static void wakes_when_the_first_one_waits(void **state)
{
	(void)state;
	tell(0, "{{1");
	tell(0, "{{2");
	assert_int_equal(n_woken, 1);
	expect(&a, "{{1}}\n{{2}}\n");
	tell(0, "{{3");
	assert_int_equal(n_woken, 2);
}

static void gives_whole_lines(void **state)
{
	size_t len;
	(void)state;
	tell(0, "{{1");
	tell(0, "{{22");
	subscription_peek(&a, 5, &len);
	assert_int_equal(len, 0);
	subscription_peek(&a, 6, &len);
	assert_int_equal(len, 6);
	subscription_peek(&a, 12, &len);
	assert_int_equal(len, 6);
	subscription_drop(&a, 6);
	expect(&a, "{{22}}\n");
}

// Types stated anew replace those before; what waits stays.
static void types_are_replaced(void **state)
{
	(void)state;
	tell(0, "{{1");
	assert_true(subscription_set(&a, 2));
	assert_true(a.replaced);
	assert_false(tell(0, "{{2"));
	assert_true(tell(1, "{{3"));
	expect(&a, "{{1}}\n{{3}}\n");
	assert_true(subscription_set(&b, 0));
	tell(1, "{{4");
	expect(&b, "{{3}}\n");
}

// Fills a's queue, b's is emptied each time. How many a has.
static unsigned fill(void)
{
	char text[1000];
	unsigned n = 0;
	memset(text, '{', sizeof(text));
	size_t len;
	uint64_t lost = a.lost;
	for (; a.lost == lost; n++) {
		assert_true(subscriptions_want(&all, 1));
		assert_true(subscriptions_tell(&all, 1, text, sizeof(text)));
		subscription_peek(&b, SIZE_MAX, &len);
		subscription_drop(&b, len);
		assert_true(n < 1000);
	}
	return n - 1;
}

static void slow_one_loses_and_is_told(void **state)
{
	size_t len;
	(void)state;
	unsigned n = fill();
	assert_true(n * 1003 > SUBSCRIPTION_QUEUE_MAX / 2);
	for (int i = 0; i < 4; i++)
		assert_true(tell(1, "{{for b"));
	expect(&b, "{{for b}}\n{{for b}}\n{{for b}}\n{{for b}}\n");
	assert_false(tell(0, "{{for a alone"));
	subscription_peek(&a, SIZE_MAX, &len);
	assert_int_equal(len, n * 1003);
	assert_true(len <= SUBSCRIPTION_QUEUE_MAX);
	subscription_drop(&a, len);
	assert_true(tell(0, "{{room"));
	assert_true(tell(0, "{{again"));
	expect(&a, "{{room,\"lost\":6}}\n{{again}}\n"); // 1 in fill(), 4 of b's, 1 of its own
}

// The queue goes on at its begin, again and again, and loses nothing of what it took.
static void queue_is_used_again(void **state)
{
	unsigned taken = 0;
	(void)state;
	subscription_drop(&a, 1003UL * fill());
	a.lost = 0;
	for (unsigned i = 0; i < 60000; i++) {
		char text[32];
		snprintf(text, sizeof(text), "{{%06u", i);
		assert_true(tell(0, text));
		if (i < 10000)
			continue; // so many wait
		size_t len;
		const char *lines = subscription_peek(&a, 11, &len);
		char line[40];
		snprintf(line, sizeof(line), "{{%06u}}\n", taken++);
		assert_int_equal(len, strlen(line));
		assert_memory_equal(lines, line, len);
		subscription_drop(&a, len);
	}
}

static void what_is_too_long_is_lost(void **state)
{
	static char text[SUBSCRIPTION_EVENT_MAX + 1];
	(void)state;
	memset(text, '{', sizeof(text));
	assert_false(subscriptions_tell(&all, 0, text, sizeof(text)));
	subscriptions_lose(&all, 1);
	tell(1, "{{short");
	expect(&a, "{{short,\"lost\":2}}\n");
	expect(&b, "{{short,\"lost\":1}}\n");
}

static void closed_one_hears_nothing(void **state)
{
	(void)state;
	subscription_close(&b);
	subscription_close(&b);
	assert_true(tell(1, "{{1"));
	assert_false(subscriptions_want(&all, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
		TEST(tells_who_asked_in_order),
		TEST(wakes_when_the_first_one_waits),
		TEST(gives_whole_lines),
		TEST(types_are_replaced),
		TEST(slow_one_loses_and_is_told),
		TEST(queue_is_used_again),
		TEST(what_is_too_long_is_lost),
		TEST(closed_one_hears_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
