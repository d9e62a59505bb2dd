%% compare.erl - runs one of casting's workloads on Erlang processes.
%% SPDX-License-Identifier: MIT
%%
%% erl -noinput -pa EBIN -run compare main WORKLOAD STEPS|=SECONDS
%%
%% Runs so many steps, or as many as take about so many seconds. Prints one line
%% in the format of bench/common.lua's --raw: name, value, unit, and
%% "key=number" for the rest, with tabs between them. A workload checks its own
%% result and fails if it is wrong. `+S 1:1` or `+S 2:2` says on how many
%% threads.
-module(compare).
-export([main/1, now/0, check/2]).

main([Name, Amount]) ->
    %% Not in the calling process, which traps exits.
    {_, Monitor} = spawn_monitor(fun() -> run(Name, Amount) end),
    receive
        {'DOWN', Monitor, _, _, normal} -> halt(0);
        {'DOWN', Monitor, _, _, Reason} ->
            io:format(standard_error, "compare: ~s: ~p~n", [Name, Reason]),
            halt(1)
    end.

run(Name, Amount) ->
    Workload = list_to_atom(Name),
    {Unit, Run} = case channels:workload(Workload) of
                      none -> savina:workload(Workload);
                      Found -> Found
                  end,
    Steps = case Amount of
                "=" ++ Seconds -> calibrate(Run, list_to_float(Seconds));
                _ -> list_to_integer(Amount)
            end,
    %% The fastest of three runs counts, but for those that take long.
    Runs = case lists:member(Workload, [skynet, timers, parked]) of
               true -> 1;
               false -> 3
           end,
    {Spent, Used} = lists:min([once(Run, Steps) || _ <- lists:seq(1, Runs)]),
    Value = case Unit of
                "CPU s" -> Used;
                "B" -> Spent;
                _ -> Steps / Spent
            end,
    io:format("~s\t~.6f\t~s\tsteps=~b\tseconds=~.9f\tcpu=~.3f~n",
              [Name, float(Value), Unit, Steps, float(Spent), Used]).

once(Run, Steps) ->
    garbage_collect(),
    Before = cpu(),
    Spent = Run(Steps),
    {Spent, cpu() - Before}.

now() ->
    erlang:monotonic_time(nanosecond) / 1.0e9.

%% The time of all processors that this process has used.
cpu() ->
    element(1, erlang:statistics(runtime)) / 1.0e3.

check(true, _) -> ok;
check(false, What) -> error({wrong_result, What}).

calibrate(Run, Seconds) ->
    calibrate(Run, Seconds, 16, Run(16)).

calibrate(Run, Seconds, N, Spent) when Spent < 0.6 * Seconds, N < 1000000000 ->
    More = trunc(N * max(1.5, min(8, 1.1 * Seconds / max(Spent, 1.0e-6)))),
    calibrate(Run, Seconds, More, Run(More));
calibrate(_, _, N, _) ->
    N.
